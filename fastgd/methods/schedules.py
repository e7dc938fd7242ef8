"""Learning-rate schedules as values: the rate of the t-th update, and what a stalled loss does to
it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastgd.kernels.stochastic import PassiveAggressive as Rate
from fastgd.problem.records import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Schedule(Settings):
    """Base class of the schedules below."""

    passive_aggressive: ClassVar[Rate] = Rate.OFF
    # Bounds that settings have to be above.
    bounds: ClassVar[dict[str, float]] = {}

    def __post_init__(self):
        for name, bound in self.bounds.items():
            self._check_number(name, f"a finite number above {bound}", bound)

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        """The rates of an epoch's `count` updates, the first being the `t`-th of all (from 1),
        after `epoch` complete epochs.
        """
        raise NotImplementedError

    def react(self) -> Schedule | None:
        """The schedule to continue with once the loss has stalled; None to stop."""
        return None


class Constant(Schedule):
    """eta_t = eta0

    Examples
    --------
    >>> from fastgd import Constant
    >>> Constant(0.1)
    Constant(eta0=0.1)
    """

    eta0: float = 0.01
    bounds = {"eta0": 0}

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        return np.full(count, float(self.eta0))


class InverseScaling(Schedule):
    """eta_t = eta0 / t**power_t

    Examples
    --------
    >>> from fastgd import InverseScaling
    >>> InverseScaling(0.1, power_t=0.5)
    InverseScaling(eta0=0.1, power_t=0.5)
    """

    eta0: float = 0.01
    power_t: float = 0.5
    bounds = {"eta0": 0, "power_t": -np.inf}

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        return self.eta0 / np.arange(t, t + count, dtype=float) ** self.power_t


class Optimal(Schedule):
    """eta_t = 1 / (alpha * (t0 + t - 1)), t0 by Leon Bottou's heuristic for rows of length 1: the
    first step is alpha**(-1/4) long.

    Examples
    --------
    >>> from fastgd import Optimal
    >>> Optimal(1e-3)
    Optimal(alpha=0.001)
    """

    alpha: float = 1e-4
    bounds = {"alpha": 0}

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        start = 1 / (np.sqrt(1 / np.sqrt(self.alpha)) * self.alpha)
        return 1 / (self.alpha * (start + np.arange(t, t + count, dtype=float) - 1))


class Adaptive(Schedule):
    """eta_t = eta0, divided by `factor` whenever the loss has stalled, until it falls below
    `least`: reduce on plateau.

    Examples
    --------
    >>> from fastgd import Adaptive
    >>> Adaptive(0.1, factor=2)
    Adaptive(eta0=0.1, factor=2, least=1e-06)
    """

    eta0: float = 0.01
    factor: float = 5.0
    least: float = 1e-6
    bounds = {"eta0": 0, "factor": 1, "least": 0}

    rates = Constant.rates

    def react(self) -> Adaptive | None:
        return replace(self, eta0=self.eta0 / self.factor) if self.eta0 > self.least else None


class StepDecay(Schedule):
    """eta_t = eta0 * factor**(e // every), e being the epochs completed before update t.

    Examples
    --------
    >>> from fastgd import StepDecay
    >>> StepDecay(0.1, factor=0.5, every=10)
    StepDecay(eta0=0.1, factor=0.5, every=10)
    """

    eta0: float = 0.01
    factor: float = 0.5
    every: int = 10
    bounds = {"eta0": 0, "factor": 0, "every": 0}

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        return np.full(count, self.eta0 * self.factor ** (epoch // self.every))


class CosineDecay(Schedule):
    """eta_t = eta0 / 2 * (1 + cos(pi * e / epochs)), e being the epochs done at update t (a
    fraction, at most `epochs`).

    Examples
    --------
    >>> from fastgd import CosineDecay
    >>> CosineDecay(0.1, epochs=20)
    CosineDecay(eta0=0.1, epochs=20)
    """

    eta0: float = 0.01
    epochs: int = 100
    bounds = {"eta0": 0, "epochs": 0}

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        done = epoch + np.arange(count) / count
        return self.eta0 / 2 * (1 + np.cos(np.pi * np.minimum(done / self.epochs, 1)))


class OneCycle(Schedule):
    """From eta0 / 25 up to eta0 in a straight line over the first `warmup` of `epochs`, then down
    to 0 along a cosine.

    References
    ----------
    Smith, Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018.

    Examples
    --------
    >>> from fastgd import OneCycle
    >>> OneCycle(0.1, epochs=20)
    OneCycle(eta0=0.1, epochs=20, warmup=0.3)
    """

    eta0: float = 0.01
    epochs: int = 100
    warmup: float = 0.3
    bounds = {"eta0": 0, "epochs": 0, "warmup": 0}

    def __post_init__(self):
        super().__post_init__()
        if self.warmup >= 1:
            raise ValueError(f"warmup of OneCycle must be below 1, got {self.warmup!r}")

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        done = np.minimum((epoch + np.arange(count) / count) / self.epochs, 1)
        up = 0.04 + 0.96 * done / self.warmup
        down = (1 + np.cos(np.pi * (done - self.warmup) / (1 - self.warmup))) / 2
        return self.eta0 * np.where(done < self.warmup, up, down)


class PassiveAggressive(Constant):
    """The row itself sets the length of its step: "pa1" min(eta0, L / |x|**2), "pa2" L / (|x|**2 +
    1 / (2 * eta0)).

    References
    ----------
    Crammer et al., "Online passive-aggressive algorithms", JMLR 2006.
    """

    passive_aggressive: Rate = Rate.PA1


class Lipschitz(Schedule):
    """eta_t = eta0 / sqrt(1 + e), e being the epochs done at update t, eta0 an inverse Lipschitz
    constant of the gradient.

    Full gradients have no noise to average out: for them eta_t = eta0 (`decays` False).
    """

    eta0: float
    decays: bool = True

    def rates(self, t: int, count: int, epoch: int) -> NDArray[np.float64]:
        return self.eta0 / np.sqrt(1 + self.decays * (epoch + np.arange(count) / count))


# Names of `learning_rate`: a schedule, and the parameters of the estimator that it takes.
SCHEDULES = {
    "constant": (Constant, "eta0"),
    "invscaling": (InverseScaling, "eta0", "power_t"),
    "optimal": (Optimal, "alpha"),
    "adaptive": (Adaptive, "eta0"),
    "pa1": (partial(PassiveAggressive, Rate.PA1), "eta0"),
    "pa2": (partial(PassiveAggressive, Rate.PA2), "eta0"),
    "step": (StepDecay, "eta0"),
    "cosine": (CosineDecay, "eta0", "max_iter"),
    "one_cycle": (OneCycle, "eta0", "max_iter"),
}
# All names that `learning_rate` accepts.
SCHEDULE_NAMES = ("auto", "lipschitz", *SCHEDULES)


def as_schedule(learning_rate, *, lipschitz, **parameters):
    """A schedule from its name and the estimator's parameters, or the schedule itself;
    `lipschitz()` is the one of "lipschitz" and "auto".
    """
    if isinstance(learning_rate, Schedule):
        return learning_rate
    if learning_rate not in SCHEDULES:
        return lipschitz()
    if learning_rate == "optimal" and parameters["alpha"] == 0:
        raise ValueError(
            "alpha must be > 0 since learning_rate is 'optimal'. alpha is used to compute the "
            "optimal learning rate."
        )
    schedule, *names = SCHEDULES[learning_rate]
    return schedule(*(parameters[name] for name in names))
