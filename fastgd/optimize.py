"""Gradient descent on a user's own cost function."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from scipy.optimize import Bounds
from scipy.optimize._numdiff import approx_derivative
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints

from fastgd.estimators import types
from fastgd.estimators.parameters import thread_count
from fastgd.methods.optimizers import GradientNoise, Optimizer
from fastgd.methods.schedules import Schedule
from fastgd.problem.c_function import is_compiled
from fastgd.problem.cost import Budget, CompiledCost, Cost
from fastgd.training.minimization import Goal, Task
from fastgd.training.minimize_by_batches import BatchRun, are_sizes
from fastgd.training.minimize_by_line_search import LineSearchRun
from fastgd.training.minimize_by_rule import METHODS, RuleRun
from fastgd.training.minimize_run import run_all

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from scipy.optimize import OptimizeResult

# Iterations, and passes over batches, at most, where max_iter is None.
ITERATIONS, PASSES = 10_000, 100

# SciPy's options, and the arguments that they are.
_OPTIONS = {"maxiter": "max_iter", "maxfun": "max_fun", "ftol": "tol", "gtol": "tol"}


def minimize(
    fun: types.Function,
    x0: ArrayLike,
    jac: Callable[..., Any] | bool | None = None,
    *,
    method: Annotated[str, StrOptions({"auto", *METHODS})] | Optimizer = "auto",
    args: Any = (),
    learning_rate: types.Positive | Schedule | None = None,
    batches: Any = None,
    callback: Callable[..., Any] | None = None,
    tol: types.NonNegative = 1e-6,
    max_iter: types.Natural | None = None,
    n_restarts: types.AtLeast1 = 1,
    random_state: types.Seed = None,
    bounds: Any = None,
    l1: types.NonNegative = 0.0,
    noise: types.NonNegative = 0.0,
    patience: types.Natural = 20,
    record_path: bool = False,
    n_jobs: int | None = None,
    max_fun: types.AtLeast1 | None = None,
    max_seconds: types.Positive | None = None,
    options: dict[str, Any] | None = None,
) -> OptimizeResult:
    """Minimise a cost function by gradient descent.

    Minimises ``F(x) = fun(x) + l1 |x|_1`` over ``lower <= x <= upper``, from `x0`.

    Parameters
    ----------
    fun : callable or compiled function
        The cost, ``fun(x, *args) -> float``; with ``jac=True`` it returns (cost, gradient), as
        ``jax.value_and_grad`` makes it; with `batches` it is called ``fun(x, batch, *args)``. x is
        a copy of the shape and precision of `x0`. `numpy.inf` or NaN says that x is outside of the
        cost's domain: steps become shorter and do not go as far again.

        Compiled: a `scipy.LowLevelCallable`, a `numba.cfunc` or a function pointer of ctypes of the
        signature ``double (const double *x, double *gradient, intptr_t n, void *data)``, which
        fills in the gradient and returns the cost. Then there is no Python between the iterations,
        and `jac` and `args` must be left alone; x is always float64 in it. An exception in it, and
        an entry of the gradient that it does not write, are errors.

    x0 : array-like or float
        The start, of any shape; a number is an array of one. float32 stays float32, all else
        becomes float64. What lies outside of the bounds is moved to them.

    jac : callable, bool or None, default=None
        The gradient ``jac(x, *args)``, of the shape of x but for axes of length 1; it may be one
        buffer for all calls. True: `fun` returns it too; None or False: finite differences, which
        call `fun` once or twice for every parameter that is not fixed by its bounds, with steps
        that suit the precision of its values.

    method : str or rule, default='auto'
        - 'auto': limited-memory BFGS with the line search of More and Thuente, or with L1 or bounds
          its orthant-wise and projected form; nothing to choose. With `batches` it is 'prodigy'.
        - 'gd' ``x <- x - eta g``
        - 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam': `Momentum`, `Nesterov`, `AdaGrad`,
          `RMSProp` and `Adam` with their defaults; or such a rule itself, ``Adam(beta1=0.8)``
        - 'adamw': Adam, and every step shrinks x by the factor ``1 - 0.01 eta``, so it goes to a
          point beside the minimum
        - 'prodigy': Adam whose rate is a growing estimate of the distance to the minimum; nothing
          to choose either

    args : tuple, default=()
        Further arguments of `fun` and `jac`; what is no tuple is the only one.

    learning_rate : float, schedule or None, default=None
        The rate eta, or a schedule, to which an iteration is an epoch: `Constant`, `Adaptive`
        (reduce on plateau, see `patience`), `CosineDecay`, ...; for 'prodigy' a factor. 'auto' has
        none. None:

        - 'gd', 'momentum', 'nesterov': the inverse of the curvature along the first gradient, found
          by doubling or halving
        - 'adagrad' 1, 'rmsprop', 'adam', 'adamw' 0.1, halved until a first step lowers the cost;
          with `batches` a tenth of these, halved until it lowers that of the first batch
        - afterwards 'gd' raises it by a tenth in each iteration, and whenever the cost would rise
          goes back and halves it; the others halve it on plateaus, and go back to the best point
          when the cost exceeds that of `x0`. With `batches` it falls as ``1 / sqrt(1 + passes)``
          instead
        - 'prodigy': 1, down to 0 along a cosine over `max_iter` iterations

    batches : iterable, (n, batch_size) or None, default=None
        Makes of `fun` a stochastic cost: an update for every batch in it, and an iteration is one
        pass over it. It must start anew in every pass, as a list does. (n, batch_size): the batches
        are arrays of that many row numbers, the last perhaps of fewer, in a new random order of the
        n rows each pass. Not for compiled costs.

    callback : callable, default=None
        Called after each iteration as SciPy does: ``callback(intermediate_result)``, if that is
        what its parameter is called, an `OptimizeResult` with ``x, fun, nit``; else
        ``callback(x)``. It ends the run by raising `StopIteration`.

    tol : float, default=1e-6
        Stop when ``max |gradient| <= tol * max(1, |F|)``, the gradient being the least subgradient
        where there is L1, and without the components by which x presses against its bounds; with
        `batches` both are the means over a pass. Besides, what a quasi-Newton model expects to gain
        must be small beside what the later half of the iterations has gained, and its step small
        beside their movement in each parameter; or the gradient is 0. 0: never before `max_iter`.

    max_iter : int, default=None
        Most iterations. None: 10000, or 100 passes over `batches`.

    n_restarts : int, default=1
        Runs, of which the best counts: the first from `x0`, the others from random points, uniform
        in finite `bounds`, else normal around `x0` with standard deviation ``max(1, |x0_j|)``. For
        costs with several minima.

    random_state : int, RandomState instance or None, default=None
        Seed of the restarts, the batches and the noise.

    bounds : sequence of (lower, upper) or `scipy.optimize.Bounds`, default=None
        A pair for each parameter in flat order, None for no bound. Every step is projected.

    l1 : float, default=0.0
        Strength of the L1 penalty; parameters become exactly zero.

    noise : float, default=0.0
        Standard deviation of normal noise on the gradients that steps take, falling as
        ``t**-0.275``: shakes x off saddles, out of plateaus and of shallow minima. Not for 'auto'.

    patience : int, default=20
        Iterations without a new least cost after which the rate that was found, or `Adaptive`, is
        reduced. 0: never.

    record_path : bool, default=False
        Keep every iterate (with `batches`: after every update) in ``history["x"]``.

    n_jobs : int, default=None
        Threads that update very many parameters. None: all that OpenMP allows; -1: all processors.
        Never changes the result.

    max_fun : int, default=None
        Most evaluations of `fun`, those of finite differences and of all restarts among them; the
        first gradient is free.

    max_seconds : float, default=None
        Stop at the first evaluation after so many seconds.

    options : dict, default=None
        SciPy's names: 'maxiter' and 'maxfun' are `max_iter` and `max_fun`; 'gtol' is a `tol` that
        is not relative to F; 'ftol' takes a fall of F of at most ``ftol * max(1, |F|)`` in an
        iteration for a small gradient. No others are allowed.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, the point of the lowest cost that the search has evaluated (with `batches` the last,
        unless the cost has risen); ``fun``, F there (with `batches` its mean over the pass);
        ``jac``, the gradient of `fun`, None where no evaluation was left for it; ``nit, nfev,
        njev`` over all runs; ``success, status, message``: 0 a minimum, or one to rounding (the
        message says so), 1 `max_iter`, 2 no descent, 3 the cost is not a number, 4 it is infinite,
        5 a plateau, 6 `max_fun`, 7 `max_seconds`, 99 the callback; ``restarts``, the least cost of
        each run; ``history`` of the best run, one entry an iterate from x0 on (with `batches` a
        pass): lists ``fun``, ``gradient_norm`` (the largest component), ``learning_rate`` (for
        'auto' the step along the line), ``nfev``, ``seconds``, and with `record_path` the array
        ``x``.

    Raises
    ------
    ValueError, TypeError
        An argument is not allowed; the cost or its gradient is not finite at `x0`, or not of the
        right shape; the gradient has the wrong sign. What `fun`, `jac` or `callback` raise passes
        through. An exception that comes after the start has the result so far, with the best point,
        as its attribute ``result``.

    See Also
    --------
    check_gradient : Compares a gradient with finite differences.

    References
    ----------
    Nocedal, "Updating quasi-Newton matrices with limited storage", Math. Comp. 1980; More, Thuente,
    "Line search algorithms with guaranteed sufficient decrease", ACM TOMS 1994; Andrew, Gao,
    "Scalable training of L1-regularized log-linear models", ICML 2007; Bertsekas, "Projected Newton
    methods for optimization problems with simple constraints", SIAM J. Control Optim. 1982;
    Mishchenko, Defazio, "Prodigy: an expeditiously adaptive parameter-free learner", ICML 2024;
    More, Wild, "Estimating computational noise", SIAM J. Sci. Comput. 2011.

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der
    >>> from fastgd import minimize
    >>> result = minimize(rosen, [-1.2, 1.0], rosen_der)
    >>> result.success, result.x.round(4).tolist()
    (True, [1.0, 1.0])

    Stochastic: ``fun(x, batch)`` and batches of row numbers.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> y = X @ [1.0, -2.0, 0.5]
    >>> def cost(w, rows):
    ...     error = X[rows] @ w - y[rows]
    ...     return error @ error / 2 / len(rows), X[rows].T @ error / len(rows)
    >>> minimize(cost, np.zeros(3), jac=True, batches=(200, 20), random_state=0).x.round(3).tolist()
    [1.0, -2.0, 0.5]
    """
    validate_parameter_constraints(_CONSTRAINTS, locals(), caller_name="minimize")
    goal, most, max_fun = _limits(options, tol, max_iter, max_fun)
    args = args if isinstance(args, tuple) else (args,)
    _check_combination(fun, jac, method, args, learning_rate, batches, noise)
    _check_batches(batches)
    x0 = _start(x0)
    bounds = _bounds(bounds, x0)
    budget = Budget(max_fun, max_seconds)
    if is_compiled(fun):
        cost = CompiledCost(fun, x0.size, budget)
    else:
        cost = Cost(fun, jac or None, args, x0.shape, x0.dtype, bounds, budget)
    kind, default = (RuleRun, ITERATIONS) if batches is None else (BatchRun, PASSES)
    kind = LineSearchRun if kind is RuleRun and method == "auto" else kind
    most = default if most is None else most
    random = np.random.default_rng(check_random_state(random_state).randint(2**31))
    limits = goal, most, float(l1), float(noise), random, thread_count(n_jobs)
    how = method, learning_rate, batches, callback, patience, record_path
    return run_all(kind, Task(cost, x0.ravel(), x0.shape, bounds, *limits, *how), n_restarts)


# Arguments that `minimize` checks by itself.
_CHECKED_APART = ("fun", "x0", "args", "batches", "bounds", "return")
_CONSTRAINTS = {
    name: types.constraints_of_text(kind, __name__)
    for name, kind in minimize.__annotations__.items()
    if name not in _CHECKED_APART
}


# ---- arguments ----


def _limits(options, tol, max_iter, max_fun):
    """(goal, max_iter, max_fun) that arguments and SciPy's options set."""
    options = options or {}
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(
                f"options[{name!r}] is unknown: SciPy's {', '.join(_OPTIONS)} are taken, all else "
                "is an argument of minimize itself"
            )
    # None is for arguments alone.
    constraints = {name: _CONSTRAINTS[argument][:1] for name, argument in _OPTIONS.items()}
    validate_parameter_constraints(constraints, options, caller_name="minimize")
    given = {"maxiter": max_iter, "maxfun": max_fun}
    for name in given:
        if name in options and given[name] is not None:
            argument = _OPTIONS[name]
            raise ValueError(f"options[{name!r}] and {argument} are the same: give one of them")
    given |= {"gtol": tol, "ftol": 0.0} | options
    goal = Goal(float(given["gtol"]), float(given["ftol"]), absolute="gtol" in options)
    return goal, given["maxiter"], given["maxfun"]


def _check_combination(fun, jac, method, args, learning_rate, batches, noise):
    """Refuse a cost that is no function, and arguments that do not go together."""
    if not (is_compiled(fun) or callable(fun)):
        raise TypeError(f"fun must be callable or compiled, got {fun!r}")
    if is_compiled(fun):
        other = "a compiled fun, whose signature has the gradient and the data, but no batch"
        _refuse_beside(other, jac=jac or None, args=args or None, batches=batches)
    if isinstance(method, GradientNoise):
        raise ValueError(
            f"method={method!r}: the noise of minimize is its parameter noise, beside "
            f"method={method.rule!r}"
        )
    if batches is None and isinstance(method, str) and method == "auto":
        other = "method='auto', which searches along lines: choose another method"
        _refuse_beside(other, learning_rate=learning_rate, noise=noise or None)


def _refuse_beside(other, **given):
    """Refuse the arguments that are given, since they do not go with another one."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} does not go with {other}")


def _check_batches(batches):
    """Refuse what is neither two numbers nor an iterable that can be passed over again."""
    if batches is None:
        return
    if not hasattr(batches, "__iter__"):
        raise TypeError(f"batches must be an iterable or (n, batch_size), got {batches!r}")
    if iter(batches) is batches:
        raise ValueError(
            "batches is an iterator, which can be passed over once only: pass a list, or an "
            "object whose __iter__ starts anew"
        )
    if are_sizes(batches) and min(batches) < 1:
        raise ValueError(
            f"batches=(n, batch_size) must be two numbers of at least 1, got {batches}"
        )


def _start(x0):
    """x0 as a new array of float32 or float64; a number as SciPy has it, an array of one."""
    try:
        array = np.asarray(x0 if isinstance(x0, np.ndarray) or not np.isscalar(x0) else [x0])
    except ValueError:
        raise ValueError(f"x0 must be an array of real numbers, got {x0!r}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"x0 must hold real numbers, got {array.dtype}")
    if not array.size:
        raise ValueError(f"x0 is empty: it has shape {array.shape}")
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    array = np.array(array, dtype=dtype, order="C")
    if not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"x0 must be finite, but x0{at} is {array[tuple(at)]}")
    return array


def _bounds(bounds, start):
    """(lower, upper), flat float64 arrays, or (None, None) where nothing is bounded."""
    if bounds is None:
        return None, None
    try:
        pair = _bound_pair(bounds, start)
        is_fit = pair[0].shape == pair[1].shape == (start.size,)
    except (TypeError, ValueError):
        is_fit = False
    if not is_fit:
        raise ValueError(
            "bounds must be a pair (lower, upper) of numbers or None for each of the "
            f"{start.size} parameters, got {bounds!r}"
        )
    if np.isnan(pair).any():
        raise ValueError("bounds must not be NaN")
    lower, upper = pair if start.dtype == np.float64 else _float32_bounds(*pair)
    crossed = np.flatnonzero((lower > upper) | (lower == np.inf) | (upper == -np.inf))
    if len(crossed):
        j = crossed[0]
        raise ValueError(
            f"bounds cross: parameter {j} has lower bound {lower[j]} and upper bound {upper[j]}"
        )
    return (lower, upper) if np.isfinite(pair).any() else (None, None)


def _bound_pair(bounds, start):
    """The lower bounds and the upper ones, flat; an error or other shapes if they do not fit."""
    if isinstance(bounds, Bounds):
        sides = (np.array(side, dtype=float) for side in (bounds.lb, bounds.ub))
        whole = (s if s.size == start.size else np.broadcast_to(s, start.shape) for s in sides)
        return [side.ravel() for side in whole]
    pair = []
    for side, absent in zip(zip(*bounds, strict=True), (-np.inf, np.inf), strict=True):
        pair.append(np.array([absent if limit is None else limit for limit in side], dtype=float))
    return pair


def _float32_bounds(lower, upper):
    """The nearest numbers of float32 within bounds; beside them where none lies between."""
    inner = []
    for side, inward in (lower, 1), (upper, -1):
        nearest = side.astype(np.float32)
        next_one = np.nextafter(nearest, np.float32(inward * np.inf))
        inner.append(np.where(inward * nearest < inward * side, next_one, nearest).astype(float))
    between = (inner[0] > inner[1]) & (lower <= upper)
    outer = (lower.astype(np.float32), upper.astype(np.float32))
    return [np.where(between, *pair) for pair in zip(outer, inner, strict=True)]


# ---- the gradient ----


def check_gradient(
    fun: types.Function,
    jac: Callable[..., Any] | bool | None,
    x: ArrayLike,
    *,
    args: Any = (),
    tol: float = 1e-5,
) -> float:
    """Compare a gradient with central differences of its cost.

    Parameters
    ----------
    fun : callable or compiled function
        The cost, as `minimize` takes it.
    jac : callable or True
        The gradient; True: `fun` returns it too. Compiled costs need None.
    x : array-like
        Where to compare.
    args : tuple, default=()
        Further arguments of `fun` and `jac`; what is no tuple is the only one.
    tol : float, default=1e-5
        Relative error that is allowed to a component; one that is small beside the largest may be
        wrong by a hundredth of `tol` times that one.

    Returns
    -------
    float
        The largest relative error of a component.

    Raises
    ------
    ValueError
        A component is wrong: the error names the worst, with its value and that of the differences.

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der
    >>> from fastgd import check_gradient
    >>> check_gradient(rosen, rosen_der, [-1.2, 1.0]) < 1e-6
    True
    >>> check_gradient(rosen, lambda x: rosen_der(x) * [1, -1], [-1.2, 1.0])
    Traceback (most recent call last):
        ...
    ValueError: component [1] of the gradient is 88, but differences of the cost say -88
    """
    start = _start(x).astype(np.float64)
    if is_compiled(fun):
        _refuse_beside("a compiled fun, which has the gradient in its signature", jac=jac)
        cost = CompiledCost(fun, start.size)
    elif jac is None:
        raise ValueError("jac is None: there is no gradient to check")
    else:
        args = args if isinstance(args, tuple) else (args,)
        cost = Cost(fun, jac, args, start.shape, start.dtype)
    with cost.watch():
        value, gradient = cost(start.ravel())
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise ValueError(f"the cost ({value}) or its gradient is not finite at x")
        differences = approx_derivative(cost.value, start.ravel(), method="3-point")
    # The rounding error of the cost, over the length of a difference's step.
    rounding = 1e-9 * abs(value)
    scale = np.abs(differences) + 0.01 * np.abs(differences).max() + rounding / tol
    errors = np.abs(gradient - differences) / np.where(scale > 0, scale, 1)
    if not errors.max() <= tol:
        worst = int(np.argmax(errors))
        place = [int(i) for i in np.unravel_index(worst, start.shape)]
        raise ValueError(
            f"component {place} of the gradient is {gradient[worst]:.6g}, but differences of the "
            f"cost say {differences[worst]:.6g}"
        )
    return float(errors.max())


# ---- for scipy.optimize.minimize ----


def _for_scipy(name: str) -> Callable[..., OptimizeResult]:
    def method(fun, x0, args=(), jac=None, hess=None, hessp=None, constraints=(), **options):
        if hess is not None or hessp is not None:
            warnings.warn(
                f"Method {name} does not use Hessian information.", RuntimeWarning, stacklevel=3
            )
        if constraints:
            raise ValueError(f"method {name} knows bounds, but no constraints")
        scipys = {name: options.pop(name) for name in _OPTIONS if name in options}
        return minimize(fun, x0, jac, method=name, args=args, options=scipys, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"""`minimize` by {name!r}, as a method of `scipy.optimize.minimize`.

    Pass it as ``scipy.optimize.minimize(..., method=fastgd.{name})``. SciPy passes its own
    arguments; `minimize`'s others, such as ``learning_rate``, go into SciPy's ``options``, and so
    do ``maxiter``, ``maxfun``, ``ftol`` and ``gtol``.
    """
    return method


auto = _for_scipy("auto")
gd = _for_scipy("gd")
momentum = _for_scipy("momentum")
nesterov = _for_scipy("nesterov")
adagrad = _for_scipy("adagrad")
rmsprop = _for_scipy("rmsprop")
adam = _for_scipy("adam")
adamw = _for_scipy("adamw")
prodigy = _for_scipy("prodigy")
