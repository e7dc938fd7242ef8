"""The named problems: which data, which objective, which steps. A new row of the benchmark is a new line of ALL."""

from dataclasses import dataclass, field

from bench import data
from bench.machine import cores


@dataclass(frozen=True)
class Problem:
    """Descend sum_i L(w x_i + b, y_i) / n + l1 |w|_1 + (l2/2) |w|^2 at a constant rate, for a number of epochs."""

    name: str
    data: str
    loss: str
    rate: float
    batch_size: int | str = 1
    epochs: int = 5
    alpha: float = 1e-4
    l1_ratio: float = 0.0
    average: bool = False
    dtype: str = "float64"
    shuffle: tuple = (False, True)
    threads: tuple = ("one",)  # and "all", where some peer has a use for them
    unit: str = "epoch"  # or "fit": the whole call, for sizes where the overhead counts
    goals: dict = field(default_factory=dict)  # peer -> least ratio wanted; "own" and "limit" (a fraction) likewise
    goal_threads: str = "one"  # the goals hold at this number of threads and in the last order of `shuffle`
    peers: tuple = ()  # only these; empty: all
    own: str = ""  # also compare with fastgd's own run, one thing changed: see peers.fastgd.OWN

    @property
    def l1(self):
        return self.alpha * self.l1_ratio

    @property
    def l2(self):
        return self.alpha * (1 - self.l1_ratio)

    @property
    def penalty(self):
        """Its shortest name, for a peer that does less work for "l2" than for "elasticnet"."""
        return {0.0: "l2", 1.0: "l1"}.get(self.l1_ratio, "elasticnet")

    @property
    def regression(self):
        return self.loss == "squared_error"

    def goals_of(self, shuffle, threads):
        """The goals of one case; none but where they are meant."""
        meant = threads == (1 if self.goal_threads == "one" else cores())
        return self.goals if meant and shuffle == self.shuffle[-1] else {}

    def describe(self):
        return (f"{self.data:<16}{self.loss:<15}{self.penalty:<11}batch {self.batch_size!s:<6}{self.dtype:<9}"
                f"{', '.join(self.threads)}")  # fmt: skip

    def load(self, rows=None):
        return data.load(self.data, self.dtype, rows)


FIXED, SHUFFLED, BOTH, ALL_THREADS = (False,), (True,), ("one", "all"), ("all",)
ROWWISE, OURS = ("fastgd", "scikit-learn"), ("fastgd",)
ALL = [
    Problem("sgd-logistic", "dense-classes", "log_loss", 0.005, epochs=41, goals={"scikit-learn": 6}),
    Problem("sgd-squared", "dense-values", "squared_error", 0.001, epochs=41, goals={"scikit-learn": 6}),
    Problem("sgd-hinge", "dense-classes", "hinge", 0.005, epochs=41, goals={"scikit-learn": 5}),
    Problem("sgd-logistic-l1", "dense-classes", "log_loss", 0.005, epochs=41, l1_ratio=1.0),
    Problem("sgd-logistic-average", "dense-classes", "log_loss", 0.005, epochs=41, average=True),
    Problem("minibatch32-logistic", "dense-classes", "log_loss", 0.05, 32, epochs=41, threads=BOTH,
            goals={"numpy": 10, "torch": 50}),
    Problem("small-fit", "small-classes", "log_loss", 0.01, epochs=10, unit="fit", goals={"scikit-learn": 2.5}),
    Problem("bundled-breast_cancer", "breast_cancer", "log_loss", 0.005, epochs=101),
    Problem("bundled-digits", "digits", "log_loss", 0.005, epochs=21, threads=BOTH),
    Problem("bundled-diabetes", "diabetes", "squared_error", 0.01, epochs=101),
    Problem("sgd-tall", "tall-classes", "log_loss", 0.005, epochs=4, peers=ROWWISE, goals={"scikit-learn": 7}),
    Problem("sgd-fashion", "fashion", "log_loss", 0.005, epochs=6, goals={"scikit-learn": 3.5}),
    Problem("minibatch256-fashion", "fashion", "log_loss", 0.05, 256, epochs=6, threads=BOTH, goals={"numpy": 4, "torch": 10}),
    Problem("full-fashion", "fashion", "log_loss", 0.05, "full", epochs=21, shuffle=FIXED, threads=BOTH,
            goals={"numpy": 2, "limit": 0.85}, goal_threads="all"),
    Problem("sgd-fashion-float32", "fashion", "log_loss", 0.005, epochs=6, dtype="float32", own="float64", goals={"own": 1.6}),
    Problem("sgd-fashion10", "fashion10", "log_loss", 0.005, epochs=3, peers=ROWWISE, goals={"scikit-learn": 8}),
    Problem("softmax-full-fashion10", "fashion10", "softmax", 0.05, "full", epochs=11, shuffle=FIXED, threads=BOTH,
            goals={"numpy": 1.5}, goal_threads="all"),
    Problem("softmax-minibatch256-fashion10", "fashion10", "softmax", 0.05, 256, epochs=4, threads=BOTH,
            goals={"numpy": 3}, goal_threads="all"),
    Problem("sgd-sparse", "sparse-classes", "log_loss", 0.05, epochs=4, alpha=1e-6, goals={"scikit-learn": 3}),
    Problem("sgd-sparse-l1", "sparse-classes", "log_loss", 0.05, epochs=4, alpha=1e-6, l1_ratio=1.0),
    Problem("sgd-sparse-elasticnet", "sparse-classes", "log_loss", 0.05, epochs=4, alpha=1e-6, l1_ratio=0.15),
    Problem("sgd-sparse-average", "sparse-classes", "log_loss", 0.05, epochs=4, alpha=1e-6, average=True),
    Problem("threads-full-in-cache", "cached-classes", "log_loss", 0.05, "full", epochs=201, shuffle=FIXED,
            threads=ALL_THREADS, peers=OURS, own="1 thread", goals={"own": 1.7}, goal_threads="all"),
    Problem("threads-minibatch1024", "medium-classes", "log_loss", 0.05, 1024, epochs=11, shuffle=SHUFFLED,
            threads=ALL_THREADS, peers=OURS, own="1 thread", goals={"own": 1.7}, goal_threads="all"),
]  # fmt: skip
for size in data.GIGABYTES:  # by size and layout, so that data in use twice is made once
    ALL += [
        Problem(f"scale-sgd-dense-{size:g}GB", f"dense-{size:g}GB", "log_loss", 0.005, epochs=3, peers=OURS),
        Problem(f"scale-full-dense-{size:g}GB", f"dense-{size:g}GB", "log_loss", 0.05, "full", epochs=4,
                shuffle=FIXED, threads=BOTH, peers=OURS),
        Problem(f"scale-sgd-sparse-{size:g}GB", f"sparse-{size:g}GB", "log_loss", 0.05, epochs=3, alpha=1e-6, peers=OURS),
    ]  # fmt: skip
