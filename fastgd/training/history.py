"""The history of a training."""

from math import nan
from time import perf_counter


class History:
    """One list per quantity, with one entry per epoch; `record` is the public ``history_``.

    `earlier` is a record to continue. With `adds` its lists are extended in place, so that the
    calls of a long stream do not copy them.
    """

    def __init__(self, earlier=None, adds=False):
        empty = {"loss": [], "gradient_norm": [], "learning_rate": [], "seconds": []}
        self.record = dict(earlier) if earlier and adds else copy_of(earlier or empty)
        self._began = perf_counter() - (self.record["seconds"] or [0])[-1]

    def __len__(self):
        return len(self.record["loss"])

    def add(self, epoch, score=None, validation_loss=None):
        """Add an epoch, the time, and the score and loss on held-out rows."""
        record = self.record
        record["loss"].append(epoch.loss)
        record["gradient_norm"].append(epoch.gradient_norm)
        record["learning_rate"].append(epoch.learning_rate)
        record["seconds"].append(perf_counter() - self._began)
        if score is not None or "validation_loss" in record:
            for name, value in ("validation_loss", validation_loss), ("validation_score", score):
                record.setdefault(name, []).append(nan if value is None else float(value))

    def forget(self, epochs):
        """Keep the first `epochs` only."""
        for values in self.record.values():
            del values[epochs:]


def copy_of(record):
    """A copy of a record and its lists."""
    return {name: list(values) for name, values in record.items()}
