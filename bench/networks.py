"""Epochs of feed-forward networks, timed beside the same network of scikit-learn's and of PyTorch's: same data, batches, rule."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bench import data, timing
from bench.run import QUICK_ROWS

SHORT = 0.3  # seconds; epochs that fill it are timed together


@dataclass(frozen=True)
class Network:
    """An epoch of Adam, in float32, by one thread, on the first `rows` rows (None: all)."""

    name: str
    data: str
    hidden: tuple
    batch_size: int
    rows: int | None = None
    goals: dict = field(default_factory=dict)

    def describe(self):
        hidden = "-".join(map(str, self.hidden))
        return f"{self.data:<16}network of {hidden} hidden units, batches of {self.batch_size}, on {self.rows or 'all'} rows"


ALL = [
    Network("mlp-digits", "digits", (64,), 32, goals={"scikit-learn": 8, "torch": 8}),
    Network("mlp-fashion", "fashion10", (256,), 200, 20_000, goals={"scikit-learn": 1.7, "torch": 1.1}),
]


def fastgd(network, X, y):
    from fastgd import MLPClassifier

    return _estimator(MLPClassifier, network, X, y, tol=None)


def scikit_learn(network, X, y):
    from sklearn.neural_network import MLPClassifier

    return _estimator(MLPClassifier, network, X, y, n_iter_no_change=np.inf)


def _estimator(kind, network, X, y, **never):
    model = kind(network.hidden, solver="adam", batch_size=network.batch_size, random_state=0, **never)

    def train(epochs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.set_params(max_iter=epochs).fit(X, y).loss_curve_[-1]

    return train


def torch(network, X, y):
    import torch
    from torch.nn import functional

    rows, labels, size = torch.from_numpy(X), torch.from_numpy(y), network.batch_size
    widths = [X.shape[1], *network.hidden, int(y.max()) + 1]

    def train(epochs):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        layers = [part for pair in zip(widths, widths[1:], strict=False) for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(epochs):
            total = 0.0
            for batch in torch.randperm(len(rows)).split(size):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(rows[batch]), labels[batch])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
        return total / len(rows)

    return train


PEERS = {"fastgd": fastgd, "scikit-learn": scikit_learn, "torch": torch}


def measure(network, peers, _found_limits, options):
    X, y = data.load(network.data, rows=min(filter(None, (QUICK_ROWS if options.quick else None, network.rows)), default=None))
    X = np.ascontiguousarray(X, np.float32)
    trains = {name: prepare(network, X, y) for name, prepare in PEERS.items() if name in peers}
    with threadpool_limits(1):
        losses, samples = {}, {}
        for name, train in trains.items():
            once = timing.seconds(lambda train=train: train(2)) / 2
            count = max(1, round(SHORT / once))
            losses[name] = float(train(3))
            samples[name] = lambda train=train, count=count: timing.seconds(train, count) / count
        runs = timing.interleave(samples, options.repeats, options.seconds, 0)
    entries = {name: timing.summary(taken) | {"objective": losses[name]} for name, taken in runs.items()}
    timing.compare(entries, network.goals)
    yield {
        "problem": network.name, "unit": "epoch", "rows": X.shape[0], "columns": X.shape[1], "dtype": str(X.dtype),
        "sparse": False, "threads": 1, "goals": network.goals, "peers": entries,
    }  # fmt: skip
