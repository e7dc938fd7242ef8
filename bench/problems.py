"""The problems, by name. A new row of the benchmark is a new line of TIMED, AUTO or ACCURACY."""

from dataclasses import KW_ONLY, dataclass, field, fields, replace

import numpy as np

from bench import data
from bench.objective import LOSSES, REGRESSION, SMOOTH, targets

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
    noiseless: bool = False  # w explains nearly all of the target
    per_row: bool = False  # l1 and l2 are given as multiples of 1/n
    per_max: bool = False  # l1 is given as a multiple of the smallest one whose solution is w = 0
    floor: float = 0.0  # `accuracy`: least ratio of the fastest peer's time over fastgd's

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


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What every row of `python -m bench` has."""

    threads: tuple = ("one",)  # and "all", where some peer has a use for them
    # peer -> least ratio of its time over fastgd's; "variant": of fastgd's other run;
    # "limit": of the least possible time over fastgd's
    goals: dict = field(default_factory=dict)
    peers: tuple = ()  # only these; empty: all that can do it

    def __str__(self):
        """What differs from the defaults, for the list."""
        shown = (part for part in fields(self) if part.name not in ("name", "goals", "peers"))
        pairs = ((part, getattr(self, part.name)) for part in shown)
        texts = [f"{part.name}={value!r}" for part, value in pairs if value != part.default]
        return f"{type(self).__name__}({', '.join(texts)})"


@dataclass(frozen=True)
class Epochs(Entry, Problem):
    """Descend a problem at a constant rate; the goals hold in the last order of `shuffle`."""

    l2: float = 1e-4
    _: KW_ONLY
    rate: float
    epochs: int
    batch_size: int | str = 1
    average: bool = False
    dtype: str = "float64"
    shuffle: tuple = (False, True)
    unit: str = "epoch"  # or "fit": the whole call, for sizes where the overhead counts
    goal_threads: str = "one"  # the goals hold at this number of threads
    variant: str = ""  # compare with another run of fastgd, in "float64" or on "1 thread"


@dataclass(frozen=True)
class Network(Entry):
    """An epoch of Adam in float32, on the first `rows` rows (None: all)."""

    name: str
    data: str
    hidden: tuple
    batch_size: int
    rows: int | None = None


@dataclass(frozen=True)
class Call(Entry):
    """A method of a fitted two-class linear model on the first `rows` rows (None: all)."""

    name: str
    data: str
    method: str
    rows: int | None = None


@dataclass(frozen=True)
class Import(Entry):
    """A statement, in a fresh process that has imported the baseline."""

    name: str
    statement: str
    peer: str  # whose import the baseline is
    baseline: str
    goal: float  # milliseconds


@dataclass(frozen=True)
class Factorization(Entry):
    """An epoch of matrix factorization."""

    name: str
    ratings: str
    epochs: int
    factors: int = 50
    variant: str = ""  # as of Epochs


@dataclass(frozen=True)
class Minimization(Entry):
    """`minimize` until max |gradient| <= `gradient`, from the same start as SciPy."""

    name: str
    cost: str
    n: int = 0  # parameters; 0: as many as the cost has
    gradient: float = 1e-5
    max_evaluations: float = 1.3  # goal: at most so many times SciPy's


@dataclass(frozen=True)
class Overhead(Entry):
    """An iteration of `minimize` in `n` dimensions, less the time of its evaluations."""

    name: str
    n: int
    iterations: int = 500


@dataclass(frozen=True)
class AdamUpdate(Entry):
    """One update of `n` parameters by Adam."""

    name: str
    dtype: str
    n: int = 1_000_000


@dataclass(frozen=True)
class CustomLoss(Entry):
    """Epochs with log_loss as a user's compiled function, beside the built-in one."""

    name: str
    data: str
    batch_size: int | str
    form: str  # of the function: see custom_losses.FORMS
    epochs: int = 5


FIXED, SHUFFLED, BOTH, ALL_THREADS = (False,), (True,), ("one", "all"), ("all",)
ROWWISE, OWN = ("fastgd", "scikit-learn"), ("fastgd",)
# fmt: off
TIMED = [
    Epochs("sgd-logistic", "dense-classes", "log_loss", rate=0.005, epochs=41,
           goals={"scikit-learn": 6}),
    Epochs("sgd-squared", "dense-values", "squared_error", rate=0.001, epochs=41,
           goals={"scikit-learn": 6}),
    Epochs("sgd-hinge", "dense-classes", "hinge", rate=0.005, epochs=41,
           goals={"scikit-learn": 5}),
    Epochs("sgd-logistic-l1", "dense-classes", "log_loss", 0.0, 1e-4, rate=0.005, epochs=41),
    Epochs("sgd-logistic-average", "dense-classes", "log_loss", rate=0.005, epochs=41,
           average=True),
    Epochs("minibatch32-logistic", "dense-classes", "log_loss", rate=0.05, batch_size=32, epochs=41,
           threads=BOTH, goals={"numpy": 10, "torch": 50}),
    Epochs("small-fit", "small-classes", "log_loss", rate=0.01, epochs=10, unit="fit",
           goals={"scikit-learn": 2.5}),
    Epochs("bundled-breast_cancer", "breast_cancer/std", "log_loss", rate=0.005, epochs=101),
    Epochs("bundled-digits", "digits/std", "log_loss", rate=0.005, epochs=21, threads=BOTH),
    Epochs("bundled-diabetes", "diabetes/std", "squared_error", rate=0.01, epochs=101),
    Epochs("sgd-tall", "tall-classes", "log_loss", rate=0.005, epochs=4, peers=ROWWISE,
           goals={"scikit-learn": 7}),
    Epochs("sgd-fashion", "fashion", "log_loss", rate=0.005, epochs=6,
           goals={"scikit-learn": 3.5}),
    Epochs("minibatch256-fashion", "fashion", "log_loss", rate=0.05, batch_size=256, epochs=6,
           threads=BOTH, goals={"numpy": 4, "torch": 10}),
    Epochs("full-fashion", "fashion", "log_loss", rate=0.05, batch_size="full", epochs=21,
           shuffle=FIXED, threads=BOTH, goals={"numpy": 2, "limit": 0.85}, goal_threads="all"),
    Epochs("sgd-fashion-float32", "fashion", "log_loss", rate=0.005, epochs=6, dtype="float32",
           variant="float64", goals={"variant": 1.6}),
    Epochs("sgd-fashion10", "fashion10", "log_loss", rate=0.005, epochs=3, peers=ROWWISE,
           goals={"scikit-learn": 8}),
    Epochs("softmax-full-fashion10", "fashion10", "softmax", rate=0.05, batch_size="full",
           epochs=11, shuffle=FIXED, threads=BOTH, goals={"numpy": 1.5}, goal_threads="all"),
    Epochs("softmax-minibatch256-fashion10", "fashion10", "softmax", rate=0.05, batch_size=256,
           epochs=4, threads=BOTH, goals={"numpy": 3}, goal_threads="all"),
    Epochs("sgd-sparse", "sparse-classes", "log_loss", 1e-6, rate=0.05, epochs=4,
           goals={"scikit-learn": 3}),
    Epochs("sgd-sparse-l1", "sparse-classes", "log_loss", 0.0, 1e-6, rate=0.05, epochs=4),
    Epochs("sgd-sparse-elasticnet", "sparse-classes", "log_loss", 0.85e-6, 0.15e-6, rate=0.05,
           epochs=4),
    Epochs("sgd-sparse-average", "sparse-classes", "log_loss", 1e-6, rate=0.05, epochs=4,
           average=True),
    Epochs("threads-full-in-cache", "cached-classes", "log_loss", rate=0.05, batch_size="full",
           epochs=201, shuffle=FIXED, threads=ALL_THREADS, peers=OWN, variant="1 thread",
           goals={"variant": 1.7}, goal_threads="all"),
    Epochs("threads-minibatch1024", "medium-classes", "log_loss", rate=0.05, batch_size=1024,
           epochs=11, shuffle=SHUFFLED, threads=ALL_THREADS, peers=OWN, variant="1 thread",
           goals={"variant": 1.7}, goal_threads="all"),
]
for size in data.GIGABYTES:
    TIMED += [
        Epochs(f"scale-sgd-dense-{size:g}GB", f"dense-{size:g}GB", "log_loss", rate=0.005,
               epochs=3, peers=OWN),
        Epochs(f"scale-full-dense-{size:g}GB", f"dense-{size:g}GB", "log_loss", rate=0.05,
               batch_size="full", epochs=4, shuffle=FIXED, threads=BOTH, peers=OWN),
        Epochs(f"scale-sgd-sparse-{size:g}GB", f"sparse-{size:g}GB", "log_loss", 1e-6, rate=0.05,
               epochs=3, peers=OWN),
    ]
CUSTOM = {"variant": 1 / 1.3}  # a custom loss may take 1.3 times as long as the built-in one
TIMED += [
    Network("mlp-digits", "digits/std", (64,), 32, goals={"scikit-learn": 8, "torch": 8}),
    Network("mlp-fashion", "fashion10", (256,), 200, 20_000,
            goals={"scikit-learn": 1.7, "torch": 1.1}),
    Call("decision-fashion", "fashion", "decision_function", threads=BOTH, goals={"limit": 0.85}),
    Call("decision-one-row", "fashion", "decision_function", 1, goals={"scikit-learn": 3}),
    Call("predict-one-row", "fashion", "predict", 1, goals={"scikit-learn": 3}),
    Import("import-fastgd", "import numpy, fastgd", "numpy", "import numpy", 10),
    Import("import-SGDClassifier", "from fastgd import SGDClassifier", "scikit-learn",
           "from sklearn.linear_model import SGDClassifier", 15),
    Factorization("factorization-movielens", "movielens", 41, goals={"surprise": 5, "libmf": 1}),
    Factorization("factorization-threads", "large", 6, threads=ALL_THREADS, peers=OWN,
                  variant="1 thread", goals={"variant": 1.7}),
    *(Minimization(f"minimize-rosenbrock-{n}", "rosenbrock", n) for n in (2, 10, 100, 1000)),
    Minimization("minimize-quadratic-10", "quadratic", 10, 1e-3),
    Minimization("minimize-quadratic-100", "quadratic", 100, 1e-3),
    Minimization("minimize-rotated-100", "rotated", 100, 1e-3),
    Minimization("minimize-logistic-std", "logistic", gradient=1e-6),
    Minimization("minimize-logistic-raw", "logistic-raw", gradient=1e-4),
    Overhead("minimize-overhead-100", 100, goals={"scipy": 2}),
    AdamUpdate("adam-million-float32", "float32", threads=BOTH, goals={"numpy": 3, "torch": 1}),
    AdamUpdate("adam-million-float64", "float64", threads=BOTH, goals={"numpy": 3, "torch": 1}),
    CustomLoss("own-loss-one-sgd", "fashion", 1, "one", goals=CUSTOM),
    CustomLoss("own-loss-one-full", "fashion", "full", "one", threads=BOTH, goals=CUSTOM),
    CustomLoss("own-loss-one-thin", "thin-classes", "full", "one", goals=CUSTOM),
    CustomLoss("own-loss-many-thin", "thin-classes", "full", "many", goals=CUSTOM),
    CustomLoss("own-loss-c-thin", "thin-classes", "full", "c", goals=CUSTOM),
]
# fmt: on

# of `python -m bench auto`: no rate to choose
AUTO = [
    Problem("breast_cancer raw logistic", "breast_cancer", "log_loss", 1e-4),
    Problem("breast_cancer raw hinge", "breast_cancer", "hinge", 1e-4),
    Problem("breast_cancer std logistic", "breast_cancer/std", "log_loss", 1e-4),
    Problem("breast_cancer std hinge", "breast_cancer/std", "hinge", 1e-4),
    Problem("digits raw logistic", "digits-even", "log_loss", 1e-4),
    Problem("digits raw hinge", "digits-even", "hinge", 1e-4),
    Problem("digits raw squared hinge", "digits-even", "squared_hinge", 1e-4),
    Problem("digits std logistic L1", "digits-even/std", "log_loss", l1=3e-3),
    Problem("diabetes raw squared", "diabetes", "squared_error", 1e-4),
    Problem("diabetes std squared", "diabetes/std", "squared_error", 1e-4),
    Problem("diabetes std squared L1", "diabetes/std", "squared_error", l1=1.0),
    Problem("diabetes std SVR", "diabetes/std", "epsilon_insensitive", 1e-4),
    Problem("wine raw logistic", "wine-second", "log_loss", 1e-4),
    Problem("wine std hinge", "wine-second/std", "hinge", 1e-4),
    Problem("rotated squared", "rotated", "squared_error", 1e-5, noiseless=True),
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
LASSO = dict(intercept=False, per_max=True, floor=0.6)
# fmt: off
ACCURACY = [
    Problem("logistic 30000 x 100 correlated", "correlated", "log_loss", 0.01, floor=0.83, **BARE),
    Problem("logistic 30000 x 100 unscaled", "correlated-unscaled", "log_loss", 0.01, floor=0.83,
            **BARE),
    Problem("logistic 30000 x 100, intercept", "correlated", "log_loss", 1.0, floor=0.83,
            per_row=True),
    Problem("logistic 100000 x 30", "correlated-tall", "log_loss", 0.1, floor=0.83, **BARE),
    Problem("logistic 8000 x 500", "correlated-wide", "log_loss", 0.01, floor=0.83, **BARE),
    Problem("logistic fashion", "fashion", "log_loss", 1.0, floor=0.83, **BARE),
    Problem("logistic a9a", "a9a", "log_loss", 1.0, floor=0.83, **BARE),
    Problem("logistic text", "text", "log_loss", 1.0, floor=0.83, **BARE),
    Problem("logistic L1 8000 x 500", "correlated-wide", "log_loss", l1=20.0, floor=0.83, **BARE),
    Problem("logistic L1 text", "text", "log_loss", l1=1.0, floor=0.83, **BARE),
    Problem("ridge 30000 x 100", "values", "squared_error", 1.0, floor=0.83, **BARE),
    Problem("ridge 30000 x 100 unscaled", "values-unscaled", "squared_error", 0.01, floor=0.83,
            **BARE),
    Problem("lasso 2000 x 2000", "lasso-square", "squared_error", l1=0.05, **LASSO),
    Problem("lasso 20000 x 500", "lasso-tall", "squared_error", l1=0.001, **LASSO),
    Problem("hinge 30000 x 100", "correlated", "hinge", 1.0, **BARE),
    Problem("hinge text", "text", "hinge", 1.0, floor=0.6, **BARE),
    Problem("squared hinge text", "text", "squared_hinge", 0.1, **BARE),
    Problem("SVR 30000 x 100", "values", "epsilon_insensitive", 1.0, **BARE),
]
# fmt: on
