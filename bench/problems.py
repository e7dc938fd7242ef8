"""The named problems: which data, which objective, which steps. A new row of the benchmark is a new line of ALL."""

from dataclasses import dataclass, field, replace

from bench import data


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
    goals: dict = field(default_factory=dict)  # peer -> least ratio wanted

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

    def load(self, rows=None):
        return data.load(self.data, self.dtype, rows)


FIXED, BOTH = (False,), ("one", "all")
ALL = [
    Problem("sgd-logistic", "dense-classes", "log_loss", 0.005, epochs=41, goals={"scikit-learn": 3}),
    Problem("sgd-squared", "dense-values", "squared_error", 0.001, epochs=41),
    Problem("sgd-hinge", "dense-classes", "hinge", 0.005, epochs=41),
    Problem("sgd-logistic-l1", "dense-classes", "log_loss", 0.005, epochs=41, l1_ratio=1.0),
    Problem("sgd-logistic-average", "dense-classes", "log_loss", 0.005, epochs=41, average=True),
    Problem("minibatch32-logistic", "dense-classes", "log_loss", 0.05, 32, epochs=41, threads=BOTH, goals={"numpy": 8}),
    Problem("small-fit", "small-classes", "log_loss", 0.01, epochs=10, unit="fit"),
    Problem("bundled-breast_cancer", "breast_cancer", "log_loss", 0.005, epochs=101),
    Problem("bundled-digits", "digits", "log_loss", 0.005, epochs=21, threads=BOTH),
    Problem("bundled-diabetes", "diabetes", "squared_error", 0.01, epochs=101),
    Problem("sgd-fashion", "fashion", "log_loss", 0.005, epochs=6),
    Problem("minibatch256-fashion", "fashion", "log_loss", 0.05, 256, epochs=6, threads=BOTH),
    Problem("full-fashion", "fashion", "log_loss", 0.05, "full", epochs=21, shuffle=FIXED, threads=BOTH, goals={"numpy": 1.5}),
    Problem("sgd-fashion-float32", "fashion", "log_loss", 0.005, epochs=6, dtype="float32"),
    Problem("sgd-sparse", "sparse-classes", "log_loss", 0.05, epochs=4, alpha=1e-6),
    Problem("sgd-sparse-l1", "sparse-classes", "log_loss", 0.05, epochs=4, alpha=1e-6, l1_ratio=1.0),
]


def available():
    """(problems, notes): where Fashion-MNIST is absent, synthetic rows of its shape stand in under another name."""
    if data.fashion_folder():
        return ALL, []
    problems, notes = [], []
    for problem in ALL:
        if problem.data == "fashion":
            stand_in = problem.name.replace("fashion", "synthetic60000x784")
            notes.append(
                f"{problem.name}: skipped, no Fashion-MNIST (set FASTGD_DATA to the folder of its IDX files, "
                f"or install Debian's dataset-fashion-mnist); {stand_in} runs instead"
            )
            problems.append(replace(problem, name=stand_in, data="synthetic"))
        else:
            problems.append(problem)
    return problems, notes
