"""The problems and the timed rows, by name. A new row is a new line of TIMED, AUTO or ACCURACY."""

from dataclasses import KW_ONLY, dataclass, replace

import numpy as np

from bench import data
from bench.objective import LOSSES, REGRESSION, SMOOTH, targets
from bench.timing import cores

BLOCK = 8192  # rows evaluated at a time, so that float32 rows are not all widened at once


@dataclass(frozen=True)
class Problem:
    """Minimise F(w, b) = sum_i L(x_i w + b, y_i) / n + l1 |w|_1 + (l2/2) |w|^2 over w and b."""

    name: str
    data: str
    loss: str
    l2: float = 0.0
    l1: float = 0.0
    _: KW_ONLY
    intercept: bool = True  # False: b = 0
    epsilon: float = 0.1  # of the loss epsilon_insensitive
    per_row: bool = False  # l1 and l2 are given as multiples of 1/n
    per_max: bool = False  # l1 is given as a multiple of the smallest one whose solution is w = 0
    rate: float = 0.0  # this and the next two: of timed epochs
    batch_size: int | str = 1
    average: bool = False

    @property
    def regression(self):
        return self.loss in REGRESSION

    @property
    def smooth(self):
        """Whether F is differentiable."""
        return self.loss in SMOOTH and not self.l1

    @property
    def penalty(self):
        return "elasticnet" if self.l1 and self.l2 else "l1" if self.l1 else "l2"

    @property
    def alpha(self):
        return self.l1 + self.l2

    @property
    def l1_ratio(self):
        return self.l1 / self.alpha if self.alpha else 0.0

    def load(self):
        """(problem, X, t): the problem with its penalties as plain numbers; t values or +1, -1."""
        X, y = data.load(self.data)
        t = np.ascontiguousarray(targets(self.loss, y)[:, 0])
        l1, l2 = (self.l1 / len(t), self.l2 / len(t)) if self.per_row else (self.l1, self.l2)
        if self.per_max:
            l1 *= np.abs(X.T @ (t - t.mean() if self.intercept else t)).max() / len(t)
        return replace(self, l1=float(l1), l2=float(l2), per_row=False, per_max=False), X, t

    def value(self, X, t, coef, intercept):
        """F in float64; infinite where it is not a number. coef (K, p), intercept (K,)."""
        W, b = np.atleast_2d(np.asarray(coef, np.float64)), np.ravel(intercept)
        t, total = t.reshape(len(t), -1), 0.0
        with np.errstate(all="ignore"):
            for start in range(0, len(t), BLOCK):
                block = slice(start, start + BLOCK)
                total += LOSSES[self.loss](X[block] @ W.T + b, t[block], self.epsilon).sum()
            value = total / len(t) + self.l1 * np.abs(W).sum() + self.l2 / 2 * (W**2).sum()
        return float(value) if np.isfinite(value) else np.inf


@dataclass(frozen=True)
class Row:
    """A row of `python -m bench`: what the function `kind` of runner.py yields for `settings`."""

    name: str
    kind: str
    data: str
    settings: dict
    threads: tuple
    goals: dict  # peer -> least ratio of its time over fastgd's
    peers: tuple  # only these; empty: all that can do it


def row(kind, name, data="", threads=(1,), goals=None, peers=(), **settings):
    return Row(name, kind, data, settings, threads, goals or {}, peers)


ALL_THREADS = (cores(),)
BOTH = tuple(dict.fromkeys((1, cores())))
FIXED, SHUFFLED = (False,), (True,)
ADAM = {"numpy": 3, "torch": 1}
ROWWISE, OWN = ("fastgd", "scikit-learn"), ("fastgd",)
# fmt: off
TIMED = [
    row("epochs", "sgd-logistic", "dense-classes", rate=0.005, epochs=41,
        goals={"scikit-learn": 6}),
    row("epochs", "sgd-squared", "dense-values", rate=0.001, epochs=41, loss="squared_error",
        goals={"scikit-learn": 6}),
    row("epochs", "sgd-hinge", "dense-classes", rate=0.005, epochs=41, loss="hinge",
        goals={"scikit-learn": 5}),
    row("epochs", "sgd-logistic-l1", "dense-classes", rate=0.005, epochs=41, l2=0.0, l1=1e-4),
    row("epochs", "sgd-logistic-average", "dense-classes", rate=0.005, epochs=41, average=True),
    row("epochs", "minibatch32-logistic", "dense-classes", BOTH, rate=0.05, epochs=41,
        batch_size=32, goals={"numpy": 10, "torch": 50}),
    row("epochs", "small-fit", "small-classes", rate=0.01, epochs=10, unit="fit",
        goals={"scikit-learn": 2.5}),
    row("epochs", "sgd-tall", "tall-classes", rate=0.005, epochs=4, peers=ROWWISE,
        goals={"scikit-learn": 7}),
    row("epochs", "sgd-fashion", "fashion", rate=0.005, epochs=6, goals={"scikit-learn": 3.5}),
    row("epochs", "minibatch256-fashion", "fashion", BOTH, rate=0.05, epochs=6, batch_size=256,
        goals={"numpy": 4, "torch": 10}),
    row("epochs", "full-fashion", "fashion", BOTH, rate=0.05, epochs=21, batch_size="full",
        shuffle=FIXED, goals={"numpy": 2}),
    row("epochs", "sgd-fashion-float32", "fashion", rate=0.005, epochs=6, dtype="float32",
        variant="float64", goals={"fastgd float64": 1.6}),
    row("epochs", "sgd-fashion10", "fashion10", rate=0.005, epochs=3, peers=ROWWISE,
        goals={"scikit-learn": 8}),
    row("epochs", "softmax-full-fashion10", "fashion10", BOTH, rate=0.05, epochs=11, loss="softmax",
        batch_size="full", shuffle=FIXED, goals={"numpy": 1.5}),
    row("epochs", "softmax-minibatch256-fashion10", "fashion10", BOTH, rate=0.05, epochs=4,
        loss="softmax", batch_size=256, goals={"numpy": 3}),
    row("epochs", "sgd-sparse", "sparse-classes", rate=0.05, epochs=4, l2=1e-6,
        goals={"scikit-learn": 3}),
    row("epochs", "sgd-sparse-l1", "sparse-classes", rate=0.05, epochs=4, l2=0.0, l1=1e-6),
    row("epochs", "sgd-sparse-average", "sparse-classes", rate=0.05, epochs=4, l2=1e-6,
        average=True),
    row("epochs", "threads-minibatch1024", "medium-classes", ALL_THREADS, rate=0.05, epochs=11,
        batch_size=1024, shuffle=SHUFFLED, peers=OWN, variant="1 thread",
        goals={"fastgd 1 thread": 1.7}),
    row("network", "mlp-digits", "digits/std", hidden=(64,), batch_size=32, epochs=40,
        goals={"scikit-learn": 8, "torch": 8}),
    row("network", "mlp-fashion", "fashion10", hidden=(256,), batch_size=200, rows=20_000, epochs=2,
        goals={"scikit-learn": 1.7, "torch": 1.1}),
    row("call", "decision-fashion", "fashion", BOTH, method="decision_function", count=3),
    row("call", "predict-one-row", "fashion", method="predict", count=200, rows=1,
        goals={"scikit-learn": 3}),
    row("factorization", "factorization-movielens", epochs=41, goals={"surprise": 5, "libmf": 1}),
    row("factorization", "factorization-threads", threads=ALL_THREADS, epochs=6, peers=OWN,
        ratings=(10_000_000, 100_000, 20_000), variant="1 thread", goals={"fastgd 1 thread": 1.7}),
    *(row("minimizer", f"minimize-rosenbrock-{n}", cost="rosenbrock", n=n) for n in (2, 100, 1000)),
    row("minimizer", "minimize-quadratic-100", cost="quadratic", n=100, least=1e-3),
    row("minimizer", "minimize-rotated-100", cost="rotated", n=100, least=1e-3),
    row("minimizer", "minimize-logistic-std", "breast_cancer/std", cost="logistic", least=1e-6),
    row("minimizer", "minimize-logistic-raw", "breast_cancer", cost="logistic", least=1e-4),
    row("adam", "adam-million-float32", threads=BOTH, dtype="float32", goals=ADAM),
    row("adam", "adam-million-float64", threads=BOTH, dtype="float64", goals=ADAM),
    row("custom_loss", "own-loss-one-sgd", "fashion", form="numba", batch_size=1),
    row("custom_loss", "own-loss-one-full", "fashion", BOTH, form="numba", batch_size="full"),
    row("custom_loss", "own-loss-one-thin", "thin-classes", form="numba", batch_size="full"),
    row("custom_loss", "own-loss-c-thin", "thin-classes", form="c", batch_size="full"),
]
# fmt: on

# of `python -m bench auto`: no rate to choose
AUTO = [
    Problem("breast_cancer raw logistic", "breast_cancer", "log_loss", 1e-4),
    Problem("breast_cancer raw hinge", "breast_cancer", "hinge", 1e-4),
    Problem("digits raw logistic", "digits-even", "log_loss", 1e-4),
    Problem("digits raw hinge", "digits-even", "hinge", 1e-4),
    Problem("digits raw squared hinge", "digits-even", "squared_hinge", 1e-4),
    Problem("digits std logistic L1", "digits-even/std", "log_loss", l1=3e-3),
    Problem("diabetes raw squared", "diabetes", "squared_error", 1e-4),
    Problem("diabetes std squared L1", "diabetes/std", "squared_error", l1=1.0),
    Problem("diabetes std SVR", "diabetes/std", "epsilon_insensitive", 1e-4),
    Problem("wine raw logistic", "wine-second", "log_loss", 1e-4),
    Problem("wine std hinge", "wine-second/std", "hinge", 1e-4),
    Problem("rotated squared", "rotated", "squared_error", 1e-5),
    Problem("scales squared", "scales-values", "squared_error", 1e-6),
    Problem("scales logistic", "scales-classes", "log_loss", 1e-6),
    Problem("heavy-tailed CSR logistic", "heavy-tailed", "log_loss", 1e-4),
    Problem("heavy-tailed CSR logistic L1", "heavy-tailed", "log_loss", l1=1e-3),
    Problem("heavy-tailed CSR hinge", "heavy-tailed", "hinge", 1e-3),
    Problem("spambase raw logistic", "spambase", "log_loss", 1e-4),
    Problem("spambase raw hinge", "spambase", "hinge", 1e-4),
    Problem("california raw squared", "california", "squared_error", 1e-4),
    Problem("a9a CSR logistic", "a9a", "log_loss", 1e-4),
    Problem("a9a CSR hinge", "a9a", "hinge", 1e-4),
    Problem("a9a std logistic", "a9a/std", "log_loss", 1e-4),
    Problem("fashion logistic", "fashion-10k", "log_loss", 1e-4),
]

# of `python -m bench accuracy`; without an intercept most peers minimise the same objective
BARE = dict(intercept=False, per_row=True)
LASSO = dict(intercept=False, per_max=True)
# fmt: off
ACCURACY = [
    Problem("logistic 30000 x 100 correlated", "correlated", "log_loss", 0.01, **BARE),
    Problem("logistic 30000 x 100 unscaled", "correlated-unscaled", "log_loss", 0.01, **BARE),
    Problem("logistic 30000 x 100, intercept", "correlated", "log_loss", 1.0, per_row=True),
    Problem("logistic 100000 x 30", "correlated-tall", "log_loss", 0.1, **BARE),
    Problem("logistic 8000 x 500", "correlated-wide", "log_loss", 0.01, **BARE),
    Problem("logistic fashion", "fashion", "log_loss", 1.0, **BARE),
    Problem("logistic a9a", "a9a", "log_loss", 1.0, **BARE),
    Problem("logistic text", "text", "log_loss", 1.0, **BARE),
    Problem("logistic L1 8000 x 500", "correlated-wide", "log_loss", l1=20.0, **BARE),
    Problem("logistic L1 text", "text", "log_loss", l1=1.0, **BARE),
    Problem("ridge 30000 x 100", "values", "squared_error", 1.0, **BARE),
    Problem("ridge 30000 x 100 unscaled", "values-unscaled", "squared_error", 0.01, **BARE),
    Problem("lasso 2000 x 2000", "lasso-square", "squared_error", l1=0.05, **LASSO),
    Problem("lasso 20000 x 500", "lasso-tall", "squared_error", l1=0.001, **LASSO),
    Problem("hinge 30000 x 100", "correlated", "hinge", 1.0, **BARE),
    Problem("hinge text", "text", "hinge", 1.0, **BARE),
    Problem("squared hinge text", "text", "squared_hinge", 0.1, **BARE),
    Problem("SVR 30000 x 100", "values", "epsilon_insensitive", 1.0, **BARE),
]
# fmt: on
