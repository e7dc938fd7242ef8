"""The tasks of `python -m bench auto` and `python -m bench accuracy`. A new row of either is a new line of AUTO or ACCURACY."""

from dataclasses import dataclass, replace

import numpy as np

from bench import sets
from bench.objective import losses, targets

SMOOTH = ("squared_error", "log_loss", "squared_hinge")


@dataclass(frozen=True)
class Task:
    """Minimise over w, b: F(w, b) = sum_i L(x_i w + b, y_i) / n + l1 |w|_1 + (l2/2) |w|^2; without `intercept` b = 0."""

    name: str
    data: str
    loss: str
    l2: float = 0.0
    l1: float = 0.0
    intercept: bool = True
    epsilon: float = 0.1  # of the loss 'epsilon_insensitive'
    noiseless: bool = False  # a target that w explains almost whole
    per_row: bool = False  # l1 and l2 are given as multiples of 1/n
    per_top: bool = False  # l1 is given as a multiple of the least one that makes w = 0
    floor: float = 0.0  # least ratio wanted of the fastest peer's time over fastgd's

    @property
    def regression(self):
        return self.loss in ("squared_error", "epsilon_insensitive")

    @property
    def smooth(self):
        """Whether F is differentiable."""
        return self.loss in SMOOTH and not self.l1

    def load(self):
        """(task, X, t): the task with its penalties in plain numbers; t the values, or +1 and -1."""
        X, y = sets.load(self.data)
        t = np.ascontiguousarray(targets(self, y)[:, 0])
        l1, l2 = (self.l1 / len(t), self.l2 / len(t)) if self.per_row else (self.l1, self.l2)
        if self.per_top:
            centred = t - t.mean() if self.intercept else t
            l1 *= np.abs(X.T @ centred).max() / len(t)
        return replace(self, l1=float(l1), l2=float(l2), per_row=False, per_top=False), X, t

    def value(self, X, t, coef, intercept):
        """F in float64; infinite where it is not a number."""
        w, b = np.ravel(coef).astype(np.float64), float(np.ravel(intercept)[0])
        with np.errstate(all="ignore"):
            value = losses(self.loss, X @ w + b, t, self.epsilon).mean() + self.l1 * np.abs(w).sum() + self.l2 / 2 * (w @ w)
        return float(value) if np.isfinite(value) else np.inf


def available(tasks):
    """(tasks, notes): those whose data is here, or a stand-in of its shape; a note for each that is not."""
    kept, notes = [], []
    for task in tasks:
        reason = sets.missing(task.data)
        stand_in = sets.STAND_INS.get(task.data)
        if not reason:
            kept.append(task)
        elif stand_in:
            kept.append(replace(task, name=task.name.replace(task.data.partition("-")[0], stand_in), data=stand_in))
            notes.append(f"{task.name}: {reason}; {kept[-1].name} runs instead")
        else:
            notes.append(f"{task.name}: skipped, {reason}")
    return kept, notes


AUTO = [
    Task("breast_cancer raw logistic", "breast_cancer", "log_loss", 1e-4),
    Task("breast_cancer raw hinge", "breast_cancer", "hinge", 1e-4),
    Task("breast_cancer std logistic", "breast_cancer/std", "log_loss", 1e-4),
    Task("breast_cancer std hinge", "breast_cancer/std", "hinge", 1e-4),
    Task("digits raw logistic", "digits", "log_loss", 1e-4),
    Task("digits raw hinge", "digits", "hinge", 1e-4),
    Task("digits raw squared hinge", "digits", "squared_hinge", 1e-4),
    Task("digits std logistic L1", "digits/std", "log_loss", l1=3e-3),
    Task("diabetes raw squared", "diabetes", "squared_error", 1e-4),
    Task("diabetes std squared", "diabetes/std", "squared_error", 1e-4),
    Task("diabetes std squared L1", "diabetes/std", "squared_error", l1=1.0),
    Task("diabetes std SVR", "diabetes/std", "epsilon_insensitive", 1e-4),
    Task("wine raw logistic", "wine", "log_loss", 1e-4),
    Task("wine std hinge", "wine/std", "hinge", 1e-4),
    Task("rotated squared", "rotated", "squared_error", 1e-5, noiseless=True),
    Task("scales squared", "scales-values", "squared_error", 1e-6),
    Task("scales logistic", "scales-classes", "log_loss", 1e-6),
    Task("heavy-tailed CSR logistic", "heavy-tailed", "log_loss", 1e-4),
    Task("heavy-tailed CSR logistic L1", "heavy-tailed", "log_loss", l1=1e-3),
    Task("heavy-tailed CSR hinge", "heavy-tailed", "hinge", 1e-3),
    Task("spambase raw logistic", "spambase", "log_loss", 1e-4),
    Task("spambase raw hinge", "spambase", "hinge", 1e-4),
    Task("california raw squared", "california", "squared_error", 1e-4),
    Task("a9a CSR logistic", "a9a", "log_loss", 1e-4),
    Task("a9a CSR hinge", "a9a", "hinge", 1e-4),
    Task("a9a std logistic", "a9a/std", "log_loss", 1e-4),
    Task("fashion logistic", "fashion-10k", "log_loss", 1e-4),
]
BARE = dict(intercept=False, per_row=True)
ACCURACY = [
    Task("logistic 30000 x 100 correlated", "correlated", "log_loss", 0.01, floor=0.83, **BARE),
    Task("logistic 30000 x 100 unscaled", "unscaled", "log_loss", 0.01, floor=0.83, **BARE),
    Task("logistic 30000 x 100, intercept", "correlated", "log_loss", 1.0, floor=0.83, per_row=True),
    Task("logistic 100000 x 30", "tall", "log_loss", 0.1, floor=0.83, **BARE),
    Task("logistic 8000 x 500", "wide", "log_loss", 0.01, floor=0.83, **BARE),
    Task("logistic fashion", "fashion", "log_loss", 1.0, floor=0.83, **BARE),
    Task("logistic a9a", "a9a", "log_loss", 1.0, floor=0.83, **BARE),
    Task("logistic text", "text", "log_loss", 1.0, floor=0.83, **BARE),
    Task("logistic L1 8000 x 500", "wide", "log_loss", l1=20.0, floor=0.83, **BARE),
    Task("logistic L1 text", "text", "log_loss", l1=1.0, floor=0.83, **BARE),
    Task("ridge 30000 x 100", "values", "squared_error", 1.0, floor=0.83, **BARE),
    Task("ridge 30000 x 100 unscaled", "values-unscaled", "squared_error", 0.01, floor=0.83, **BARE),
    Task("lasso 2000 x 2000", "lasso-square", "squared_error", l1=0.05, intercept=False, per_top=True, floor=0.6),
    Task("lasso 20000 x 500", "lasso-tall", "squared_error", l1=0.001, intercept=False, per_top=True, floor=0.6),
    Task("hinge 30000 x 100", "correlated", "hinge", 1.0, **BARE),
    Task("hinge text", "text", "hinge", 1.0, floor=0.6, **BARE),
    Task("squared hinge text", "text", "squared_hinge", 0.1, **BARE),
    Task("SVR 30000 x 100", "values", "epsilon_insensitive", 1.0, **BARE),
]
