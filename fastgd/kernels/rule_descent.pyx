"""Descent of a cost function by the update rules: one step a call of `tell`, or many on a compiled
cost.

One pass a step: a range of parameters at a time it takes the gradient's size, moves the parameters
by the rule and clips them to their bounds. The iterate of least cost is kept without a copy: a step
from it leads into the other of two buffers or, where the memory is what takes the time, can be
taken back. Ranges depend on the number of parameters alone, so the bits are the same for any number
of threads.
"""
import numpy as np

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, isfinite, isnan, pow, sqrt
from libc.string cimport memcpy

from .cost cimport (FAILED, MOVED, ROSE, SMALL, STALLED, UNBOUNDED, UNDEFINED, UNWRITTEN, Cost,
                    Feasible, Goal, Status, blank, clip, cost_at, excess, first_unwritten,
                    gradient_size, is_small)
from .prodigy cimport Distance, correction, estimate_distance, prodigy
from .rules cimport ADAM, ADAMW, MOMENTUM, NESTEROV, Rule, keeps_first, keeps_second, root, update
from .threads cimport can_share

cdef enum:
    RANGE = 2048                # parameters that stay in cache while they are looked at and moved
    SHARED = 65536              # parameters that are worth more than one thread

cdef double EPS = 2.2e-16

cdef struct Course:
    Py_ssize_t n, ranges, t
    bint single                 # float32
    int threads
    Rule rule
    double decay                # AdamW's
    Feasible feasible
    char *here                  # the iterate, in one of the buffers
    char *other
    char *best                  # NULL: no cost is known, or
    # the best is the last iterate, from which Adam's step can be taken back
    bint behind
    Py_ssize_t behind_t         # of that step
    double behind_rate
    char *first
    char *second
    # (ranges, 3): gradient's size, and of Prodigy g'(start - x) and |weighted|_1
    double *sums
    Distance distance
    bint monotone               # the cost may not rise at all, or else not above the ceiling
    double ceiling
    bint guarded                # a cost above the ceiling, or one that is not a number, is no error
    Goal goal
    # cost and gradient's size of the last iterate that was looked at; the least cost
    double value, norm, least
    Py_ssize_t stalled          # iterations since the least cost


cdef double sweep(Course *at, Py_ssize_t i, floating *here, floating *there, const floating *g,
                  const floating *h, floating *first, floating *second, double rate) noexcept nogil:
    """there <- the rule's step from here, by gradient h, for one range; returns the size of
    gradient g.
    """
    cdef Py_ssize_t j, begin = i * RANGE, size = min(RANGE, at.n - begin)
    cdef Feasible feasible = at.feasible
    cdef double norm, correct, d = at.distance.now
    cdef floating inside
    if feasible.lower != NULL:
        feasible.lower, feasible.upper = feasible.lower + begin, feasible.upper + begin
    here, there, h = here + begin, there + begin, h + begin
    norm = gradient_size(here, g + begin, size, &feasible)
    if there != here:
        memcpy(there, here, size * sizeof(floating))
    if not isfinite(norm):
        return norm
    if at.distance.first > 0:
        correct = correction(&at.rule, at.t)
        prodigy(there, h, first + begin, second + begin, <floating *> at.distance.weighted + begin,
                <floating *> at.distance.start + begin, size, &at.rule, d, rate * d * correct,
                d / at.distance.first * d * correct, <floating> feasible.l1, at.sums + 3 * i + 1)
    else:
        update(&at.rule, there, h, first + begin if first != NULL else first, second + begin
               if second != NULL else second, size, rate, at.t, feasible.l1, at.decay)
    for j in range(size if feasible.lower != NULL else 0):
        inside = <floating> clip(there[j], feasible.lower[j], feasible.upper[j])
        # a bound stops what runs against it
        if inside != there[j] and at.rule.kind in (MOMENTUM, NESTEROV):
            first[begin + j] = 0
        there[j] = inside
    return norm


cdef void step(Course *at, const floating *g, const floating *h, char *target,
               double rate) noexcept nogil:
    """All ranges; the iterate is then in `target`."""
    cdef Py_ssize_t i
    cdef floating *here = <floating *> at.here
    cdef floating *there = <floating *> target
    cdef floating *first = <floating *> at.first
    cdef floating *second = <floating *> at.second
    for i in prange(at.ranges, schedule="static", num_threads=at.threads,
                    use_threads_if=at.threads > 1):
        at.sums[3 * i] = sweep(at, i, here, there, g, h, first, second, rate)
    at.norm = 0
    for i in range(at.ranges):
        at.norm = at.norm if at.sums[3 * i] <= at.norm else at.sums[3 * i]
        if isnan(at.norm):
            return
    if at.distance.first > 0:
        estimate_distance(&at.distance, &at.rule, at.t, at.sums, at.ranges)


cdef inline bint can_step_back(const Course *at) noexcept nogil:
    """Whether it is Adam's step alone that moves the many parameters: then a second buffer would
    cost more than taking it back.
    """
    return (at.n >= SHARED and at.rule.kind in (ADAM, ADAMW) and at.distance.first == 0
            and at.feasible.l1 == 0 and at.feasible.lower == NULL)


cdef void step_back(const Course *at, Py_ssize_t i, const floating *here,
                    floating *there) noexcept nogil:
    """there <- the parameters of a range before the step to here, to the last bit or two. (Without
    a finite gradient none was taken.)
    """
    cdef Py_ssize_t j, begin = i * RANGE, end = min(begin + RANGE, at.n)
    cdef floating *m = <floating *> at.first
    cdef floating *a = <floating *> at.second
    cdef floating correct2 = 1 / sqrt(1 - pow(at.rule.second, at.behind_t)), eps = at.rule.eps
    cdef floating scale = at.behind_rate / (1 - pow(at.rule.first, at.behind_t))
    cdef floating kept = 1 - (at.behind_rate * at.decay if at.rule.kind == ADAMW else 0.0)
    if isfinite(at.sums[3 * i]):
        for j in range(begin, end):
            there[j] = (here[j] + scale * m[j] / (correct2 * root(a[j]) + eps)) / kept
    else:
        memcpy(there + begin, here + begin, (end - begin) * sizeof(floating))


cdef void recover_best(Course *at) noexcept nogil:
    """Have the best point in a buffer."""
    cdef Py_ssize_t i
    if not at.behind:
        return
    for i in prange(at.ranges, schedule="static", num_threads=at.threads,
                    use_threads_if=at.threads > 1):
        if at.single:
            step_back(at, i, <float *> at.here, <float *> at.other)
        else:
            step_back(at, i, <double *> at.here, <double *> at.other)
    at.best, at.behind = at.other, False


cdef Status take_step(Course *at, double value, const floating *g, const floating *h,
                      double rate, Py_ssize_t patience) noexcept nogil:
    """Take in the cost and its gradient at the iterate, and leave it by a step."""
    cdef char *from_here = at.here
    cdef char *target
    cdef double before = at.value
    cdef bint best, behind, is_first = at.best == NULL and not at.behind
    value += excess(<floating *> at.here, at.n, &at.feasible)
    at.value = value
    if value == -INFINITY:
        return UNBOUNDED
    if isnan(value):
        return ROSE if at.guarded else UNDEFINED
    if is_first and at.guarded:
        at.ceiling = value
    if value == INFINITY or value > (at.least if at.monotone else at.ceiling):
        return ROSE
    best = value < at.least or at.best == at.here or is_first
    if not best:
        recover_best(at)
    behind = best and can_step_back(at)
    target = at.other if best and not behind else at.here
    step(at, g, h, target, rate)
    if best:  # the step may have overwritten the best before
        at.best, at.least, at.stalled = NULL if behind else from_here, value, 0
        at.behind, at.behind_t, at.behind_rate = behind, at.t, rate
        if not behind:
            at.here, at.other = target, from_here
    if not isfinite(at.norm):
        return UNDEFINED
    at.t += 1
    at.stalled += not best
    if patience and at.stalled >= patience:
        return STALLED
    if (value <= at.least + 10 * EPS * fabs(at.least)
            and (at.norm == 0 or is_small(&at.goal, at.norm, value, before))):
        return SMALL if at.goal.tol > 0 or at.goal.ftol > 0 else MOVED
    return MOVED


cdef Status take_step_at(Course *at, double value, const void *g, const void *h, double rate,
                         Py_ssize_t patience) noexcept nogil:
    """The same in the iterate's own precision."""
    if at.single:
        return take_step(at, value, <const float *> g, <const float *> h, rate, patience)
    return take_step(at, value, <const double *> g, <const double *> h, rate, patience)


cdef class RuleDescent:
    """A run of an update rule from x0, float32 or float64, which is copied; `decay` is AdamW's.

    A `distance` above 0 makes of Adam Prodigy (Mishchenko, Defazio, ICML 2024): the rate multiplies
    a growing estimate of the distance to the minimum, which `distance` begins.

    `lower`, `upper` (None: no bounds) and `l1` are met by every step. `threads` never changes a
    result.
    """
    cdef Course at
    cdef readonly object gradient   # the last one of a compiled cost
    cdef object _buffers, _sums, _bounds, _first, _second, _start, _weighted

    def __init__(self, x0 not None, Rule rule, double decay, double distance,
                 const double[::1] lower, const double[::1] upper, double l1, int threads):
        cdef Py_ssize_t n = x0.shape[0]
        cdef unsigned char[:, ::1] buffers
        cdef unsigned char[::1] buffer
        cdef double[::1] sums
        if n == 0 or x0.dtype not in (np.float32, np.float64) or (lower is None) != (upper is None):
            raise ValueError("x0 is empty or neither float32 nor float64, or there is one of two "
                             "bounds")
        if lower is not None and (lower.shape[0] != n or upper.shape[0] != n):
            raise ValueError(f"bounds must have {n} entries")
        self.at.n = n
        self.at.ranges = (n + RANGE - 1) // RANGE
        self.at.t = 1
        self.at.single = x0.dtype == np.float32
        self.at.threads = threads if n >= SHARED and can_share() else 1
        self.at.rule, self.at.decay, self.at.feasible = rule, decay, Feasible(l1, NULL, NULL, NULL)
        if lower is not None:
            self.at.feasible.lower, self.at.feasible.upper = &lower[0], &upper[0]
        self._buffers = np.stack([x0, x0])
        self._sums = np.zeros(3 * self.at.ranges)
        self._bounds = (lower, upper)
        buffers, sums = self._buffers.view(np.uint8), self._sums
        self.at.here = <char *> &buffers[0, 0]
        self.at.other = <char *> &buffers[1, 0]
        self.at.sums = &sums[0]
        self.at.first = self.at.second = self.at.best = NULL
        self.at.behind = False
        self.at.value = self.at.norm = self.at.least = self.at.ceiling = INFINITY
        self.at.monotone = self.at.guarded = False
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
        """The iterate, to evaluate the cost at: a view that the next step may overwrite."""
        return self._buffer_at(self.at.here)

    @property
    def best(self):
        """The iterate of least cost, a view; None before the first."""
        recover_best(&self.at)
        return None if self.at.best == NULL else self._buffer_at(self.at.best)

    @property
    def value(self):
        """The cost that was told last, with l1 |x|_1."""
        return self.at.value

    @property
    def least(self):
        """The cost at `best`."""
        return self.at.least

    @property
    def distance(self):
        """Prodigy's estimate of the distance to the minimum."""
        return self.at.distance.now

    @property
    def norm(self):
        """The size of the largest component of the (sub)gradient that was told last."""
        return self.at.norm

    def forbid_rise(self, bint monotone):
        """Answer ROSE to NaN and to a cost above the first one, or (`monotone`) above the least so
        far.
        """
        self.at.monotone, self.at.guarded = monotone, True

    def set_goal(self, double ftol, bint absolute):
        """When, besides `tol`, an iterate is SMALL: see `Goal`."""
        self.at.goal.ftol, self.at.goal.absolute = ftol, absolute

    def go_back(self):
        """Return to `best`, if there is one, whose cost is to be told again, with empty buffers."""
        recover_best(&self.at)
        if self.at.best != NULL and self.at.here != self.at.best:
            self.at.here, self.at.other = self.at.best, self.at.here
        self.at.t, self.at.stalled = 1, 0
        for buffer in (self._first, self._second, self._weighted):
            if buffer is not None:
                buffer[:] = 0
        if self._start is not None:
            self._start[:] = self.x
            self.at.distance.now, self.at.distance.gain = self.at.distance.first, 0

    def tell(self, double value, gradient not None, double rate, double tol, Py_ssize_t patience,
             noisy=None):
        """Learn the cost and its gradient at `x`, and take a step of the rule (by the gradient
        `noisy`, if there is one).

        Both are contiguous and of x's precision; tol is that of `Goal`. Returns a `Status`; STALLED
        where the cost has reached no new low for `patience` iterations (0: never).
        """
        cdef const unsigned char[::1] g = gradient.view(np.uint8), h
        cdef Py_ssize_t size = self.at.n * (4 if self.at.single else 8)
        h = g if noisy is None else noisy.view(np.uint8)
        if g.shape[0] != size or h.shape[0] != size:
            raise ValueError(f"the gradient must have {self.at.n} entries of x's precision")
        cdef Status status
        self.at.goal.tol = tol
        with nogil:
            status = take_step_at(&self.at, value, &g[0], &h[0], rate, patience)
        return status

    def reset_stall(self):
        """Count the iterations without a new low from here on."""
        self.at.stalled = 0

    @property
    def unwritten(self):
        """The first entry of `gradient` that a compiled cost has not written; -1: none."""
        cdef const double[::1] gradient = self.gradient
        return first_unwritten(&gradient[0], self.at.n)

    def run(self, size_t function, size_t data, int[::1] failed not None,
            const double[::1] rates not None, double tol, Py_ssize_t patience,
            double[:, ::1] record not None, double[:, ::1] path):
        """Iterate on a compiled cost, a rate each, until `tell` would return something else than
        MOVED.

        `record` receives (cost, gradient's size, rate, evaluations so far) and `path` (None: none)
        x, a row an iteration that has a cost; `gradient` is the last gradient. Ends where the cost
        function has set `failed`. Returns (iterations, evaluations, the last `Status`).
        """
        cdef Cost cost = cost_at(function, data)
        cdef Course *at = &self.at
        cdef Py_ssize_t done = 0, evaluations = 0, most = rates.shape[0], n = at.n
        cdef Status status = MOVED
        cdef double value
        cdef volatile int *has_failed = &failed[0]
        if (at.single or record.shape[0] < most or record.shape[1] != 4
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
                    memcpy(to + done * n, at.here, n * sizeof(double))
                blank(&gradient[0], n)
                value = cost.function(<double *> at.here, &gradient[0], n, cost.data)
                evaluations += 1
                if has_failed[0]:
                    status = FAILED
                elif isfinite(value) and first_unwritten(&gradient[0], n) >= 0:
                    status = UNWRITTEN
                else:
                    status = take_step_at(at, value, &gradient[0], &gradient[0], rates[done],
                                          patience)
                if status not in (MOVED, SMALL, STALLED):
                    break
                record[done, 0], record[done, 1] = at.value, at.norm
                record[done, 2], record[done, 3] = rates[done], evaluations
                done += 1
        return done, evaluations, status
