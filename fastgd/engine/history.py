"""What an epoch leaves behind."""
from time import perf_counter


class History:
    """One list a quantity, one entry an epoch; `record` is the public ``history_``. `earlier` is a record to go on with."""

    def __init__(self, earlier=None):
        empty = {"loss": [], "gradient_norm": [], "learning_rate": [], "seconds": []}
        self.record = {name: list(values) for name, values in (earlier or empty).items()}
        self._began = perf_counter() - (self.record["seconds"] or [0])[-1]

    def add(self, *, loss, gradient_norm, learning_rate, validation_loss=None):
        entry = {"loss": loss, "gradient_norm": gradient_norm, "learning_rate": learning_rate,
                 "seconds": perf_counter() - self._began}
        if validation_loss is not None:
            self.record.setdefault("validation_loss", [])
            entry["validation_loss"] = validation_loss
        for name, value in entry.items():
            self.record[name].append(float(value))
