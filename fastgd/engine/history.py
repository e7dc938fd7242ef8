"""What an epoch leaves behind."""
from time import perf_counter


class History:
    """One list a quantity, one entry an epoch; `record` is the public ``history_``. `earlier` is a record to go on with."""

    def __init__(self, earlier=None):
        empty = {"loss": [], "gradient_norm": [], "learning_rate": [], "seconds": []}
        self.record = {name: list(values) for name, values in (earlier or empty).items()}
        self._began = perf_counter() - (self.record["seconds"] or [0])[-1]

    def add(self, epoch, validation_loss=None):
        """Note an epoch: what the method says of it, the time, and the loss on held-out rows."""
        record = self.record
        record["loss"].append(epoch.loss)
        record["gradient_norm"].append(epoch.gradient_norm)
        record["learning_rate"].append(epoch.learning_rate)
        record["seconds"].append(perf_counter() - self._began)
        if validation_loss is not None:
            record.setdefault("validation_loss", []).append(float(validation_loss))
