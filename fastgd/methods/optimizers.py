"""Update rules as immutable settings; the buffers belong to the run."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any, ClassVar

from fastgd.kernels.rules import Kind
from fastgd.problem.records import Settings


class Optimizer(Settings):
    """Base class of the update rules below.

    g is the mean gradient of a batch with ``l2 * w`` added (but for AdamW), eta the learning rate,
    and every rule ends in the exact prox of the L1 part, ``soft(w, r * l1)``, at the rate r that
    the weight itself had.
    """

    kind: ClassVar[Kind]
    # Which of the kernels' two buffers the rule needs, each as long as the parameters.
    buffers: ClassVar[tuple[bool, bool]] = (False, False)
    # Whether each parameter has a rate of its own, whatever the size of its gradients.
    is_adaptive: ClassVar[bool] = False

    def __post_init__(self):
        for field in fields(self):
            if field.name == "eps":
                self._check_number("eps", "a finite number above 0", 0)
            else:
                self._check_number(field.name, "a number in [0, 1)", 0, 1, closed=True)

    @cached_property
    def codes(self) -> dict[str, Any]:
        """The rule for the kernels."""
        first = getattr(self, "momentum", getattr(self, "beta1", 0.0))
        second = getattr(self, "rho", getattr(self, "beta2", 0.0))
        constants = {"first": first, "second": second, "eps": getattr(self, "eps", 0.0)}
        return {"kind": int(self.kind), **constants, "noise": 0.0, "fading": 0.0, "seed": 0}


class SGD(Optimizer):
    """Plain gradient descent: ``w <- w - eta * g``.

    Examples
    --------
    >>> from fastgd import SGD, SGDClassifier
    >>> SGDClassifier(optimizer=SGD())
    SGDClassifier(optimizer=SGD())
    """

    kind = Kind.SGD


class Momentum(Optimizer):
    """Heavy ball: ``v <- momentum * v - eta * g``, ``w <- w + v``.

    Parameters
    ----------
    momentum : float, default=0.9
        Share of the last step that is kept, in [0, 1).

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Examples
    --------
    >>> from fastgd import Momentum
    >>> Momentum(momentum=0.8)
    Momentum(momentum=0.8)
    """

    momentum: float = 0.9
    kind = Kind.MOMENTUM
    buffers = (True, False)


class Nesterov(Optimizer):
    """Nesterov's momentum: ``v <- momentum * v - eta * g``, ``w <- w + momentum * v - eta * g``.

    Parameters
    ----------
    momentum : float, default=0.9
        Share of the last step that is kept, in [0, 1).

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
    2013, in the form that takes the gradient at the weights themselves.

    Examples
    --------
    >>> from fastgd import Nesterov
    >>> Nesterov()
    Nesterov(momentum=0.9)
    """

    momentum: float = 0.9
    kind = Kind.NESTEROV
    buffers = (True, False)


class AdaGrad(Optimizer):
    """AdaGrad: ``a <- a + g**2``, ``w <- w - eta * g / (sqrt(a) + eps)``.

    Parameters
    ----------
    eps : float, default=1e-10
        Added to the root.

    References
    ----------
    Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", JMLR 2011.

    Examples
    --------
    >>> from fastgd import AdaGrad
    >>> AdaGrad()
    AdaGrad(eps=1e-10)
    """

    eps: float = 1e-10
    kind = Kind.ADAGRAD
    is_adaptive = True
    buffers = (False, True)


class RMSProp(Optimizer):
    """RMSProp: ``a <- rho * a + (1 - rho) * g**2``, ``w <- w - eta * g / (sqrt(a) + eps)``.

    Parameters
    ----------
    rho : float, default=0.9
        Share of the running mean of g**2 that is kept, in [0, 1).
    eps : float, default=1e-8
        Added to the root.

    References
    ----------
    Tieleman, Hinton, "Lecture 6.5: RMSProp", Coursera 2012.

    Examples
    --------
    >>> from fastgd import RMSProp
    >>> RMSProp(rho=0.95)
    RMSProp(rho=0.95, eps=1e-08)
    """

    rho: float = 0.9
    eps: float = 1e-8
    kind = Kind.RMSPROP
    is_adaptive = True
    buffers = (False, True)


class Adam(Optimizer):
    """Adam: running means m of g and a of g**2, freed of their start, ``w <- w - eta * m / (sqrt(a)
    + eps)``.

    Parameters
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Shares of the running means that are kept, in [0, 1).
    eps : float, default=1e-8
        Added to the root.

    References
    ----------
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> from fastgd import Adam
    >>> Adam(beta1=0.8)
    Adam(beta1=0.8, beta2=0.999, eps=1e-08)
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    kind = Kind.ADAM
    is_adaptive = True
    buffers = (True, True)


class AdamW(Adam):
    """Adam whose L2 decay does not pass through the running means: ``w <- w - eta * m / (sqrt(a) +
    eps) - eta * l2 * w``.

    Parameters
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Shares of the running means that are kept, in [0, 1).
    eps : float, default=1e-8
        Added to the root.

    References
    ----------
    Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> from fastgd import AdamW
    >>> AdamW()
    AdamW(beta1=0.9, beta2=0.999, eps=1e-08)
    """

    kind = Kind.ADAMW


class ScheduleFree(Optimizer):
    """Schedule-free Adam: steps of ``z``, gradients at ``w``, between z and the mean x of the z so
    far; x is the model.

    ``z <- z - eta * g / (sqrt(a) + eps)``, ``x <- x + (z - x) / t``, ``w <- (1 - beta1) * z + beta1
    * x``. The mean does what a falling learning rate would do, at whatever epoch training ends.

    Parameters
    ----------
    beta1 : float, default=0.9
        How near to the mean gradients are taken, in [0, 1).
    beta2 : float, default=0.999
        Share of the running mean of g**2 that is kept, in [0, 1).
    eps : float, default=1e-8
        Added to the root.

    References
    ----------
    Defazio et al., "The road less scheduled", NeurIPS 2024.

    Examples
    --------
    >>> from fastgd.methods.optimizers import ScheduleFree
    >>> ScheduleFree()
    ScheduleFree(beta1=0.9, beta2=0.999, eps=1e-08)
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    kind = Kind.SCHEDULE_FREE
    buffers = (True, True)

    def mean(self, w, ahead):
        """x, from w and the buffer ``z - w``."""
        return w - (1 - self.beta1) / self.beta1 * ahead


class GradientNoise(Optimizer):
    """Another rule, on gradients to which normal numbers of variance ``variance / t**fading`` are
    added in the t-th update.

    Where the objective has flat stretches or saddles, noise finds the way out of them, and it fades
    as the steps go on.

    Parameters
    ----------
    rule : str or rule, default='sgd'
        What a step does with the noisy gradient.
    variance : float, default=0.01
        Of the first update's noise, >= 0, in the square of the gradient's units.
    fading : float, default=0.55
        The power by which it fades, >= 0.

    References
    ----------
    Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015.

    Examples
    --------
    >>> from fastgd import GradientNoise
    >>> GradientNoise("adam", variance=0.1)
    GradientNoise(rule='adam', variance=0.1, fading=0.55)
    """

    rule: str | Optimizer = "sgd"
    variance: float = 0.01
    fading: float = 0.55

    def __post_init__(self):
        for name in ("variance", "fading"):
            self._check_number(name, "a finite number of at least 0", 0, closed=True)
        is_rule = isinstance(self.rule, Optimizer) or self.rule in RULES
        if not is_rule or isinstance(self.rule, GradientNoise):
            raise ValueError(
                f"rule of GradientNoise must be another rule, or one of {', '.join(RULES)}; got "
                f"{self.rule!r}"
            )

    @property
    def buffers(self) -> tuple[bool, bool]:
        return as_optimizer(self.rule).buffers

    @property
    def is_adaptive(self) -> bool:
        return as_optimizer(self.rule).is_adaptive

    @cached_property
    def codes(self) -> dict[str, Any]:
        """The rule for the kernels."""
        return as_optimizer(self.rule).codes | {"noise": self.variance, "fading": self.fading}


# The update rules by their names.
RULES = {
    rule.__name__.lower(): rule for rule in (SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AdamW)
}


def as_optimizer(optimizer):
    """A rule from its name, or the rule itself."""
    return optimizer if isinstance(optimizer, Optimizer) else RULES[optimizer]()
