"""What is minimised: the names of losses and penalties, and their codes in the kernels."""
from dataclasses import dataclass

from fastgd.kernels.losses import Loss, Targets

REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile", "poisson")
CLASSIFICATION = ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "softmax")
EPSILON = ("huber", "epsilon_insensitive", "squared_epsilon_insensitive")  # losses whose parameter is `epsilon`
PENALTIES = ("l2", "l1", "elasticnet")


@dataclass(frozen=True)
class Objective:
    """F(W, b) = sum_i s_i L(W x_i + b, y_i) / sum_i s_i + l1 |W|_1 + (l2 / 2) |W|^2.

    `delta` is the loss's own parameter (epsilon, or the quantile); `outputs` the number of rows of W; `one_vs_rest` says that
    y holds class numbers, of which each output tells its own from the rest.
    """

    loss: str
    delta: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    outputs: int = 1
    one_vs_rest: bool = False
    intercept: bool = True

    @property
    def codes(self):
        """The same for the kernels."""
        return {"loss": Loss[self.loss.upper()], "delta": self.delta, "l1": self.l1, "l2": self.l2, "outputs": self.outputs,
                "targets": Targets.CLASSES if self.by_class else Targets.VALUES, "intercept": self.intercept}

    @property
    def by_class(self):
        """Whether y holds one class number a row, not one number an output."""
        return self.one_vs_rest or self.loss == "softmax"

    def penalty(self, W):
        """l1 |W|_1 + (l2 / 2) |W|^2"""
        W = W.astype("float64", copy=False)
        return self.l1 * abs(W).sum() + self.l2 / 2 * (W * W).sum()


def penalty_parts(penalty, alpha, l1_ratio):
    """(l1, l2) of a penalty's name, strength and mixture."""
    if penalty is None:
        return 0.0, 0.0
    if penalty == "elasticnet" and l1_ratio is None:
        raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
    mix = {"l2": 0.0, "l1": 1.0, "elasticnet": l1_ratio}[penalty]
    return float(alpha * mix), float(alpha * (1 - mix))
