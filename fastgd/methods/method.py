"""What a method of descent does, as the loop and the fits see it."""

from fastgd.problem.records import Record


class Epoch(Record):
    """Means over the epoch's visits (loss, penalty included; gradient norm) and its last rate."""

    loss: float
    gradient_norm: float
    learning_rate: float
