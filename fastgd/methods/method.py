"""The result of an epoch of a method."""

from fastgd.problem.records import Record


class Epoch(Record):
    """Means over an epoch (loss with penalty, gradient norm), and its last learning rate."""

    loss: float
    gradient_norm: float
    learning_rate: float
