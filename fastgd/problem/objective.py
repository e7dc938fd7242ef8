"""The objective: a loss, penalties, and their codes in the kernels."""

from functools import cached_property

import numpy as np

from fastgd.kernels.losses import Targets
from fastgd.problem.losses import Loss
from fastgd.problem.records import Record

# The names that `penalty` accepts.
PENALTIES = ("l2", "l1", "elasticnet")


class Objective(Record):
    """F(W, b) = sum_i s_i L(W x_i + b, y_i) / sum_i s_i + l1 |W|_1 + (l2 / 2) |W|^2 + tilt sum b,
    with `positive` where W >= 0.

    `outputs` is the number of rows of W. `one_vs_rest` says that y holds class numbers, and each
    output separates one class from the others. Kinks are smoothed over `width`. Unbounded slopes of
    losses are clipped to +-`steepest`. `l2` may be a tuple with a number per output, for full
    batches only. If columns have been scaled, `by_column` holds their penalties l1 (p,) and l2 (p,)
    or (outputs, p); `l1` and `l2` then only say whether there is a penalty. `is_degenerate` says
    that W = 0 is a minimum whatever the data, but of no use. `tilt` is the cost of the intercept.
    l1 and l2 are times 2^`exponent`, until `scaled` multiplies them by it.
    """

    loss: Loss
    l1: float = 0.0
    l2: float | tuple = 0.0
    outputs: int = 1
    one_vs_rest: bool = False
    intercept: bool = True
    width: float = 0.0
    steepest: float = np.inf
    positive: bool = False
    tilt: float = 0.0
    by_column: tuple | None = None
    is_degenerate: bool = False
    exponent: int = 0

    @cached_property
    def codes(self):
        """The objective for the kernels."""
        return {
            "loss": int(self.loss.code),
            "delta": self.loss.delta,
            "slope_limit": self.steepest,
            "max_curvature": self.loss.max_curvature,
            "smoothing": self.width,
            "l1": self.l1,
            "l2": np.nan if isinstance(self.l2, tuple) else self.l2,
            "outputs": self.outputs,
            "targets": int(Targets.CLASSES if self.by_class else Targets.VALUES),
            "intercept": self.intercept,
            "positive": self.positive,
            "intercept_cost": self.tilt,
            "custom": self.loss.address,
        }

    @property
    def has_nonsmooth_penalty(self):
        """Whether the penalty has a kink, or a bound, at weights of 0."""
        return bool(self.l1 or self.positive)

    @property
    def may_have_no_minimum(self):
        """Whether there are data for which there is no minimum: nothing is penalised, and the loss
        never reaches its infimum.
        """
        is_free = not (np.any(self.l2) or self.has_nonsmooth_penalty)
        return is_free and self.loss.vanishes_far_out

    @property
    def by_class(self):
        """Whether y holds one class number per row, not one number per output."""
        return self.one_vs_rest or self.loss.is_joint

    def loss_at_zero(self, y):
        """The mean loss of the model that always predicts 0, on unweighted targets y."""
        if self.loss.is_joint:
            return np.log(self.outputs)
        if self.one_vs_rest:
            # The loss of a margin of 0 is the same for both labels.
            y = np.array([1.0, -1.0])
        value, _ = self.loss.evaluate(np.zeros(y.size), y.ravel())
        return value.mean() * self.outputs

    def penalties(self, inverse):
        """(l1 (p,), l2 (p,) or (outputs, p)) of weights v, where w = inverse v."""
        l2 = np.asarray(self.l2)[:, None] if isinstance(self.l2, tuple) else self.l2
        l1, l2 = self.by_column or (self.l1, l2)
        with np.errstate(over="ignore", under="ignore"):
            return l1 * inverse, l2 * inverse * inverse

    def penalty(self, W, b=0.0):
        """l1 |W|_1 + (l2 / 2) |W|^2 + tilt sum b"""
        W = W.astype("float64", copy=False)
        if self.by_column:
            l1, l2 = self.by_column
            return float((l1 * abs(W) + 0.5 * l2 * W * W).sum()) + self.tilt * float(np.sum(b))
        squares = np.add.reduce(W * W, axis=1 if isinstance(self.l2, tuple) else None)
        return (
            (self.l1 * float(np.add.reduce(abs(W), axis=None)) if self.l1 else 0.0)
            + (float(np.dot(self.l2, squares)) / 2 if self.l2 else 0.0)
            + (self.tilt * float(np.sum(b)) if self.tilt else 0.0)
        )


def penalty_parts(penalty, alpha, l1_ratio):
    """(l1, l2) of a penalty's name, strength and mixture."""
    if penalty is None:
        return 0.0, 0.0
    if penalty == "elasticnet" and l1_ratio is None:
        raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
    mix = {"l2": 0.0, "l1": 1.0, "elasticnet": l1_ratio}[penalty]
    return float(alpha * mix), float(alpha * (1 - mix))
