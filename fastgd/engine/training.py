"""The loop that every training runs: order the rows, ask the method for one epoch, record, check, stop."""
from math import isfinite

import numpy as np

DIVERGED = 1e10  # times the loss before training: clipped slopes can keep a runaway finite


class DivergedError(ValueError):
    """The loss or the weights are no longer finite, or no longer of this world."""


class Stopping:
    """When enough is enough.

    The loss (or the negative score of a validation) has stalled when it has not fallen below its best by `tol` for `patience`
    epochs in a row; a full gradient is small when its norm is at most `tol` times the first one. tol=None: neither is asked.
    """

    def __init__(self, max_iter, tol, patience, full_gradient=False):
        self.max_iter, self.tol, self.patience, self.full_gradient = max_iter, tol, patience, full_gradient
        self.best, self.stalled = np.inf, 0

    def has_stalled(self, value):
        self.stalled = self.stalled + 1 if value > self.best - self.tol else 0
        self.best = min(self.best, value)
        return self.stalled >= self.patience

    def is_small(self, norms):
        return self.full_gradient and norms[-1] <= self.tol * norms[0]


@np.errstate(all="ignore")  # a diverging run overflows, and is told by what comes out
def train(method, *others):
    """Run epochs until enough is enough, and let the method finish; the arguments and what is returned are those of `_epochs`."""
    done, reason = _epochs(method, *others)
    if reason != "tol":  # what is known of the minimum is known of the model as it is
        method.finish()
    return done, reason


def _epochs(method, order, stopping, history, known_loss, validate=None, verbose=0):
    """Run epochs until `stopping` says so; returns (epochs, reason).

    `known_loss()` is what a model had before, to tell a runaway by; `validate(coef, intercept)` returns (score, loss) on
    held-out rows.
    """
    record, done = history.record, 0
    for done in range(1, stopping.max_iter + 1):
        epoch = method.epoch(order.next())
        coef, intercept = method.solution() if validate else (None, None)
        score, validation_loss = validate(coef, intercept) if validate else (None, None)
        history.add(epoch, validation_loss)
        runaway = epoch.loss > DIVERGED and epoch.loss > DIVERGED * (1 + known_loss())
        if runaway or not (isfinite(epoch.loss) and isfinite(epoch.gradient_norm) and method.is_finite()):
            raise DivergedError(
                f"Training diverged at epoch #{done}: floating-point under-/overflow occurred, the loss is {epoch.loss:g}. Scaling "
                "input data with StandardScaler or MinMaxScaler might help, and so does a learning rate smaller than "
                f"{epoch.learning_rate:g}.")
        if verbose:
            print(f"-- Epoch {done}: " + ", ".join(f"{name} {values[-1]:.6g}" for name, values in record.items()))
        if stopping.tol is None:
            continue
        found = method.optimality()
        if found and found[0] <= stopping.tol:
            return done, "tol"
        if stopping.is_small(record["gradient_norm"]):
            return done, "gradient"
        if stopping.patience and stopping.has_stalled(epoch.loss if validate is None else -score):
            if not method.react():
                return done, "plateau" if validate is None else "validation"
            stopping.stalled = 0
    return done, "max_iter"
