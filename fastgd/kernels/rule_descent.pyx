"""Descent of a cost function by an update rule: one step in each call of `tell`, or many on a
compiled cost.
"""
import numpy as np

from libc.math cimport INFINITY, isfinite
from libc.string cimport memcpy

from .cost cimport (FAILED, MOVED, SMALL, STALLED, UNWRITTEN, Cost, Goal, L1AndBounds, Status,
                    cost_at, first_unwritten, mark_unwritten)
from .prodigy cimport Distance
from .rule_steps cimport (PARALLEL_PARAMETERS, RANGE_PARAMETERS, RuleState, recover_best,
                          take_typed_step)
from .rules cimport ADAM, Rule, keeps_first, keeps_second


cdef class RuleDescent:
    """A run of an update rule from x0, float32 or float64, which is copied. `decay` is AdamW's.

    A `distance` above 0 turns Adam into Prodigy (Mishchenko, Defazio, ICML 2024): the rate is
    multiplied by a growing estimate of the distance to the minimum, at first `distance`.

    Every step respects `lower`, `upper` (None: no bounds) and `l1`. `threads` changes no result.
    """
    cdef RuleState at
    cdef readonly object gradient   # the last one of a compiled cost
    cdef object _buffers, _sums, _bounds, _first, _second, _start, _weighted

    def __init__(self, x0 not None, Rule rule, double decay, double distance,
                 const double[::1] lower, const double[::1] upper, double l1, int threads):
        cdef Py_ssize_t n = x0.shape[0]
        cdef unsigned char[:, ::1] buffers
        cdef unsigned char[::1] buffer
        cdef double[::1] sums
        if n == 0 or x0.dtype not in (np.float32, np.float64) or (lower is None) != (upper is None):
            raise ValueError("x0 is empty or neither float32 nor float64, or one of two bounds is "
                             "missing")
        if lower is not None and (lower.shape[0] != n or upper.shape[0] != n):
            raise ValueError(f"bounds must have {n} entries")
        self.at.n = n
        self.at.ranges = (n + RANGE_PARAMETERS - 1) // RANGE_PARAMETERS
        self.at.t = 1
        self.at.is_float32 = x0.dtype == np.float32
        self.at.threads = threads if n >= PARALLEL_PARAMETERS else 1
        self.at.rule, self.at.decay, self.at.terms = rule, decay, L1AndBounds(l1, NULL, NULL, NULL)
        if lower is not None:
            self.at.terms.lower, self.at.terms.upper = &lower[0], &upper[0]
        self._buffers = np.stack([x0, x0])
        self._sums = np.zeros(3 * self.at.ranges)
        self._bounds = (lower, upper)
        buffers, sums = self._buffers.view(np.uint8), self._sums
        self.at.current = <char *> &buffers[0, 0]
        self.at.other = <char *> &buffers[1, 0]
        self.at.sums = &sums[0]
        self.at.first = self.at.second = self.at.best = NULL
        self.at.undoable = False
        self.at.value = self.at.norm = self.at.least_value = self.at.ceiling = INFINITY
        self.at.monotone = self.at.forbids_rise = False
        self.at.goal = Goal(0, 0, False)
        self.at.stalled = 0
        if keeps_first(rule.kind):
            self._first = np.zeros_like(x0)
            buffer = self._first.view(np.uint8)
            self.at.first = <char *> &buffer[0]
        if keeps_second(rule.kind):
            self._second = np.zeros_like(x0)
            buffer = self._second.view(np.uint8)
            self.at.second = <char *> &buffer[0]
        self.at.distance = Distance(distance, distance, 0, NULL, NULL)
        if distance > 0:
            if rule.kind != ADAM:
                raise ValueError("a distance needs the rule Adam")
            self._start, self._weighted = x0.copy(), np.zeros_like(x0)
            buffer = self._start.view(np.uint8)
            self.at.distance.start = <char *> &buffer[0]
            buffer = self._weighted.view(np.uint8)
            self.at.distance.weighted = <char *> &buffer[0]

    cdef _buffer_at(self, const char *place):
        cdef unsigned char[:, ::1] buffers = self._buffers.view(np.uint8)
        return self._buffers[0 if place == <char *> &buffers[0, 0] else 1]

    @property
    def x(self):
        """The iterate at which to evaluate the cost: a view that the next step may overwrite."""
        return self._buffer_at(self.at.current)

    @property
    def best(self):
        """A view of the iterate of least cost; None before the first."""
        recover_best(&self.at)
        return None if self.at.best == NULL else self._buffer_at(self.at.best)

    @property
    def value(self):
        """The last cost, with l1 |x|_1."""
        return self.at.value

    @property
    def least(self):
        """The cost at `best`."""
        return self.at.least_value

    @property
    def distance(self):
        """Prodigy's estimate of the distance to the minimum."""
        return self.at.distance.now

    @property
    def norm(self):
        """The largest component of the last (sub)gradient, in size."""
        return self.at.norm

    def forbid_rise(self, bint monotone):
        """Answer ROSE to NaN and to a cost above the first one or, with `monotone`, above the least
        so far.
        """
        self.at.monotone, self.at.forbids_rise = monotone, True

    def set_goal(self, double ftol, bint absolute):
        """Set the `Goal`, without tol, at which an iterate is SMALL."""
        self.at.goal.ftol, self.at.goal.absolute = ftol, absolute

    def go_back(self):
        """Return to `best`, if there is one, with empty buffers. Its cost must be told again."""
        recover_best(&self.at)
        if self.at.best != NULL and self.at.current != self.at.best:
            self.at.current, self.at.other = self.at.best, self.at.current
        self.at.t, self.at.stalled = 1, 0
        for buffer in (self._first, self._second, self._weighted):
            if buffer is not None:
                buffer[:] = 0
        if self._start is not None:
            self._start[:] = self.x
            self.at.distance.now, self.at.distance.gain = self.at.distance.first, 0

    def tell(self, double value, gradient not None, double rate, double tol, Py_ssize_t patience,
             noisy=None):
        """Process the cost and its gradient at `x`, and take a step of the rule, with the gradient
        `noisy` if there is one. Returns a `Status`.

        The gradients are contiguous and of x's precision. tol is that of `Goal`. The status is
        STALLED if the last `patience` iterations (0: any number) have not lowered the least cost.
        """
        cdef const unsigned char[::1] g = gradient.view(np.uint8), h
        cdef Py_ssize_t size = self.at.n * (4 if self.at.is_float32 else 8)
        h = g if noisy is None else noisy.view(np.uint8)
        if g.shape[0] != size or h.shape[0] != size:
            raise ValueError(f"the gradient must have {self.at.n} entries of x's precision")
        cdef Status status
        self.at.goal.tol = tol
        with nogil:
            status = take_typed_step(&self.at, value, &g[0], &h[0], rate, patience)
        return status

    def reset_stall(self):
        """Restart the count of iterations without a new least cost."""
        self.at.stalled = 0

    @property
    def unwritten(self):
        """The first entry of `gradient` not written by a compiled cost; -1: none."""
        cdef const double[::1] gradient = self.gradient
        return first_unwritten(&gradient[0], self.at.n)

    def run(self, size_t function, size_t data, int[::1] failed not None,
            const double[::1] rates not None, double tol, Py_ssize_t patience,
            double[:, ::1] record not None, double[:, ::1] path):
        """Iterate on a compiled cost, at one rate after the other, while `tell` would return MOVED.

        For each iteration with a cost, `record` receives a row (cost, gradient's size, rate,
        evaluations so far) and `path` (None: none) x. `gradient` is the last gradient. The run also
        ends when the cost function has set `failed`. Returns (iterations, evaluations, the last
        `Status`).
        """
        cdef Cost cost = cost_at(function, data)
        cdef RuleState *at = &self.at
        cdef Py_ssize_t done = 0, evaluations = 0, most = rates.shape[0], n = at.n
        cdef Status status = MOVED
        cdef double value
        cdef volatile int *has_failed = &failed[0]
        if (at.is_float32 or record.shape[0] < most or record.shape[1] != 4
                or (path is not None and (path.shape[0] < most or path.shape[1] != n))):
            raise ValueError("x is float32, or record or path have the wrong shape")
        if self.gradient is None:
            self.gradient = np.empty(n)
        cdef double[::1] gradient = self.gradient
        cdef double *to = NULL if path is None or most == 0 else &path[0, 0]
        at.goal.tol = tol
        with nogil:
            while done < most and status == MOVED:
                if to != NULL:
                    memcpy(to + done * n, at.current, n * sizeof(double))
                mark_unwritten(&gradient[0], n)
                value = cost.function(<double *> at.current, &gradient[0], n, cost.data)
                evaluations += 1
                if has_failed[0]:
                    status = FAILED
                elif isfinite(value) and first_unwritten(&gradient[0], n) >= 0:
                    status = UNWRITTEN
                else:
                    status = take_typed_step(at, value, &gradient[0], &gradient[0], rates[done],
                                             patience)
                if status not in (MOVED, SMALL, STALLED):
                    break
                record[done, 0], record[done, 1] = at.value, at.norm
                record[done, 2], record[done, 3] = rates[done], evaluations
                done += 1
        return done, evaluations, status
