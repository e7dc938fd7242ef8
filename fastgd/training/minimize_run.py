"""Runs of `minimize`: their base class, the runs from several starts, and the result."""

from dataclasses import replace
from math import isfinite
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeResult

from fastgd.kernels.cost import Status
from fastgd.training import outcomes
from fastgd.training.minimization import Best, Task, Trace
from fastgd.training.minimum import is_rounded
from fastgd.training.outcomes import ENDS, MESSAGES

# The statuses of runs that may not have descended since the gradient has the wrong sign.
UNSUCCESSFUL = outcomes.MAX_ITER, outcomes.NO_DESCENT, outcomes.UNDEFINED, outcomes.DIVERGED
# Seconds of compiled iterations between two checks for Ctrl-C: short for the user, and long beside
# the checks.
SECONDS_PER_SLICE = 0.05
# A difference of costs along the gradient counts from this number of rounding errors on.
RELIABLE_DIFFERENCE = 100


class NotFiniteError(ValueError):
    """The cost or its gradient is not finite where a run starts."""


class Run:
    """Base class of runs. `go` returns a status; `best` is valid at any time; `message` overrides
    that of the status.
    """

    def __init__(self, task: Task):
        self.task, self.trace, self.nit = task, Trace(task), 0
        self.best, self.status, self.message = Best(task.x0), None, None
        # The lowest point that was evaluated apart from the descent.
        self.probe = Best(task.x0)
        # Further arguments of the cost at x0.
        self.first_batch = ()

    @property
    def has_fallen(self):
        """Whether an iterate's cost is below that of the start, or there was no step."""
        costs, has_no_step = self.trace.record["fun"], self.nit == 0
        is_over = has_no_step and self.status == outcomes.MAX_ITER
        return is_over or any(cost < costs[0] for cost in costs)

    def best_x(self):
        return self.best.x

    def add_probe(self, point):
        """Keep a point that was evaluated apart from the descent, if it is the lowest of these."""
        if point.value < self.probe.value:
            self.probe = point

    def evaluate_probe(self, trial):
        """(cost, gradient) at a point apart from the descent; it is kept as by `add_probe`."""
        value, gradient = self.task.cost(trial, *self.first_batch)
        if isfinite(value) and np.isfinite(gradient).all():
            self.add_probe(Best(trial, self.task.total(trial, value), gradient))
        return value, gradient

    def _evaluate_start(self, x, *batch):
        """(cost, gradient) where the run starts, which must be finite."""
        value, gradient = self.task.cost(x, *batch)
        if isfinite(value) and np.isfinite(gradient).all():
            return value, gradient
        part = "the gradient has entries that are not finite"
        if not isfinite(value):
            part = f"the cost is {value}"
        raise NotFiniteError(f"fun is not finite at x0: {part}")

    def _falls_without_end(self):
        """The status of a run whose cost is minus infinity."""
        self.message = outcomes.UNBOUNDED_MESSAGE
        return outcomes.DIVERGED

    def _ends_at_rounding(self, status, decrement):
        """`status`, that of a run without further descent, or CONVERGED if rounding errors are the
        reason.
        """
        if self.task.goal.ends and is_rounded(self, decrement):
            self.message = outcomes.ROUNDING_MESSAGE
            return outcomes.CONVERGED
        return status

    # ---- compiled costs ----

    def _slices(self, most):
        """The numbers of iterations of calls of `_iterate`, `most` in all: 1 for Python, and for
        compiled code what takes about `SECONDS_PER_SLICE`.
        """
        is_compiled = self.task.cost.compiled is not None and self.task.callback is None
        size, done = 1, 0
        while done < most:
            size = min(size, most - done)
            began = perf_counter()
            yield size
            done += size
            if is_compiled and perf_counter() - began < SECONDS_PER_SLICE / 2:
                size *= 2

    def _take_compiled_best(self, done):
        """Update the best point after iterations in compiled code."""

    def _run_compiled(self, kernel, size, limits, keeps_path):
        """Iterate on a compiled cost: (iterations, the last status, the path or None)."""
        cost, before = self.task.cost, self.task.cost.nfev
        record = np.empty((size, 4))
        path = np.empty((size, len(self.task.x0))) if keeps_path else None
        done, evaluations, status = kernel.run(
            cost.compiled.address, cost.compiled.data, cost.watched.failed, *limits, record, path
        )
        cost.nfev, cost.njev = cost.nfev + evaluations, cost.njev + evaluations
        self.nit = max(len(self.trace) + done - 1, 0)
        self._take_compiled_best(done)
        for i, (value, norm, rate, nfev) in enumerate(record[:done].tolist()):
            x = path[i] if self.task.is_watched else None
            self.trace.add(value, norm, rate, before + int(nfev), x)
        if status == Status.FAILED:
            cost.watched.raise_error()
        if status == Status.UNWRITTEN:
            cost.check_written(kernel.unwritten)
        return done, status, path


# ---- all runs ----


def run_all(kind, task, count):
    """Make so many runs of a kind; return the result of the best.

    Where an exception ends a run, the exception has the result so far.
    """
    runs = []
    for x in _starts(task, count):
        runs.append(kind(replace(task, x0=x)))
        with task.cost.watch():
            _go(runs[-1], runs)
        if runs[-1].status in ENDS.values():
            break
    return _result(runs)


def _starts(task, count):
    """x0 within its bounds, then random points."""
    x0, (lower, upper) = task.x0, task.bounds
    yield task.feasible(x0).astype(x0.dtype)
    for _ in range(count - 1):
        x = task.random.normal(x0, np.maximum(1.0, np.abs(x0)))
        if lower is not None:
            boxed = np.isfinite(lower) & np.isfinite(upper)
            x[boxed] = task.random.uniform(lower[boxed], upper[boxed])
        yield task.feasible(x.astype(x0.dtype)).astype(x0.dtype)


def _go(run, runs):
    """Run the last of the runs."""
    try:
        # A run that goes astray overflows; its results are checked instead.
        with np.errstate(over="ignore", invalid="ignore"):
            run.status = run.go()
        if run.status in UNSUCCESSFUL and not run.has_fallen:
            _check_sign(run)
        if run.probe.value < run.best.value:
            run.best = run.probe
    except tuple(ENDS) as end:
        run.status = ENDS[type(end)]
    except NotFiniteError:
        if run is runs[0]:
            raise
        run.status = outcomes.UNDEFINED
    except BaseException as error:
        if any(isfinite(other.best.value) for other in runs):
            error.add_note("The best point so far is this exception's attribute `result`.")
            error.result = _result(runs)
        raise


def _check_sign(run):
    """Refuse a gradient that points uphill where differences of the cost point downhill."""
    task, batch = run.task, run.first_batch
    value, gradient = task.cost(task.x0, *batch)
    # A random cost says nothing about its gradient.
    if task.cost.value(task.x0, *batch) != value:
        return
    slopes = task.slopes(task.x0, gradient).astype(np.float64)
    if not slopes.any():
        return
    x, gradient = task.x0.astype(np.float64), gradient.astype(np.float64)
    length = np.cbrt(np.finfo(task.x0.dtype).eps) * max(1.0, np.abs(x).max())
    step = length / np.abs(slopes).max() * slopes

    def ratio(step):
        """The change of the cost along a step over that which the gradient promises; 0 where
        rounding hides it.
        """
        ahead, behind = task.feasible(x - step), task.feasible(x + step)
        promised = float(gradient @ (ahead - behind))
        found = task.cost.value(ahead, *batch) - task.cost.value(behind, *batch)
        is_reliable = abs(found) > RELIABLE_DIFFERENCE * task.precision * abs(value)
        return found / promised if promised and is_reliable else 0.0

    long, short = ratio(step), ratio(step / 10)
    # Near a minimum the change is that of third derivatives, a hundredth of what it is along the
    # longer step.
    if long < -0.5 and 0.5 < short / long < 2:
        raise ValueError(
            f"the gradient has the wrong sign: along it the cost changes by {long:.3g} times what "
            "it says. See check_gradient."
        )


def _result(runs):
    """The result of the best of the runs."""
    run, last = min(runs, key=lambda other: other.best.value), runs[-1]
    task, cost, x, gradient = run.task, run.task.cost, run.best_x(), run.best.gradient
    if gradient is None and isfinite(run.best.value) and last.status is not None:
        try:
            with cost.watch():
                gradient = cost(x, *run.first_batch)[1]
        except tuple(ENDS):
            pass
    status = last.status if last.status in ENDS.values() else run.status
    message = run.message if status == run.status else None
    return OptimizeResult(
        x=task.shaped(x),
        fun=float(run.best.value),
        jac=None if gradient is None else task.shaped(gradient),
        nit=sum(other.nit for other in runs),
        nfev=cost.nfev,
        njev=cost.njev,
        success=status == outcomes.CONVERGED,
        status=status,
        message=message or MESSAGES.get(status, "An exception ended the run."),
        restarts=[float(other.best.value) for other in runs],
        history=run.trace.finished(),
    )
