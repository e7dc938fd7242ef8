"""Quasi-Newton descent of a cost function: the directions of L-BFGS, and line searches that ask for
one evaluation at a time.

Whoever holds the cost evaluates it at `trial` and calls `tell` until that returns something else
than SEARCHING; then `propose` lays out the next line. For compiled costs `run` does both without
Python. L1 and bounds make of every line an arc: the step keeps to the orthant and the box, and
parameters that rest on an edge stay there while the gradient holds them.

A trial where the cost or its gradient is not finite is off the domain: its step is an upper limit
of the line.
"""
import numpy as np

from libc.math cimport INFINITY, fabs, fmax, frexp, isfinite, ldexp, sqrt
from libc.string cimport memcpy

from .cost cimport (CONVERGED, FAILED, MOVED, SEARCHING, STUCK, UNBOUNDED, UNDEFINED, UNWRITTEN,
                    Cost, Feasible, Goal, Status, blank, cost_at, excess, first_unwritten,
                    gradient_size, is_small, l1_at, slope_at)
from .lbfgs cimport Pairs, add_pair, restrict_pairs, two_loops
from .more_thuente cimport ACCEPT, GO_ON, Search, Verdict, begin_search, check_step
from .progress cimport (Progress, add_iterate, is_little_left, rounding_error, size_of,
                        small_gain)
from .rows cimport lanes_dot

# What the verifying step changes a parameter by, relative to its size: little, so that it stays
# where the cost is a parabola, and much beside the 1e-8 at which rounding errors blur a curvature
cdef double PROBE = 1e-4
# That step sees less of the gain than a Newton step would, since its parameters differ in
# curvature; so it must see little.
cdef double VERIFIED = 0.01
cdef double EPS = 2.2e-16
# Differences of costs below so many rounding errors, those of a sum of many terms, say less than
# slopes.
cdef double NOISE = 1e3


cdef struct Memory:
    Py_ssize_t n
    bint begun, arcs, single    # single: trials are rounded to float32
    bint learnt                 # the last step made a pair
    bint verifying              # the trial is to tell whether x is a minimum
    double *x
    double *gradient
    double *trial
    double *trial_gradient
    double *direction
    double *free                # (n,) 1 where the step may go, else 0
    double *best_x              # the best point evaluated, unless that is x
    double *best_gradient
    double value, norm, noise
    double precision            # relative error of the cost
    double best                 # the least cost evaluated
    bint is_best                # x has it
    double decrement            # -g'd of the quasi-Newton direction at x; INFINITY: not known
    double length               # of the last step
    Pairs pairs
    Progress progress
    Feasible feasible
    Goal goal
    Search search


# ---- directions ----

cdef inline void steepest(Memory *at) noexcept nogil:
    """direction <- -(sub)gradient. What is held by an edge is not free."""
    cdef const Feasible *feasible = &at.feasible
    cdef Py_ssize_t j
    cdef bint edge
    for j in range(at.n):
        at.direction[j] = -slope_at(at.x[j], at.gradient[j], feasible,
                                    j) if at.arcs else -at.gradient[j]
    if at.arcs:
        for j in range(at.n):
            edge = l1_at(feasible, j) > 0 and at.x[j] == 0
            edge = edge or (feasible.lower != NULL
                            and not feasible.lower[j] < at.x[j] < feasible.upper[j])
            at.free[j] = 0.0 if edge and at.direction[j] == 0 else 1.0


cdef double steepest_unit(Memory *at) noexcept nogil:
    """direction <- the steepest descent over a power of two, so that no square overflows or
    vanishes; returns the slope.
    """
    cdef int exponent
    cdef double unit
    cdef Py_ssize_t j
    steepest(at)
    frexp(at.norm, &exponent)
    unit = ldexp(1.0, exponent)
    for j in range(at.n):
        at.direction[j] /= unit
    return -unit * lanes_dot(at.direction, at.direction, at.n)


cdef double keep_inside(Memory *at) noexcept nogil:
    """Stop the direction where it leaves an edge outward; returns the slope along it."""
    cdef const Feasible *feasible = &at.feasible
    cdef Py_ssize_t j
    cdef double v, slope = 0
    cdef bint edge
    for j in range(at.n):
        v = slope_at(at.x[j], at.gradient[j], feasible, j)
        edge = l1_at(feasible, j) > 0 and at.x[j] == 0
        edge = edge or (feasible.lower != NULL
                        and not feasible.lower[j] < at.x[j] < feasible.upper[j])
        if edge and v * at.direction[j] >= 0:
            at.direction[j] = 0
        slope += v * at.direction[j]
    return slope


cdef inline double along_arc(const Memory *at, double step, Py_ssize_t j) noexcept nogil:
    """x + step direction, which stops at zero where L1 has a kink, and at the bounds."""
    cdef double a = at.x[j] + step * at.direction[j]
    if l1_at(&at.feasible, j) > 0 and a * at.x[j] < 0:
        a = 0
    if at.feasible.lower != NULL:
        a = at.feasible.upper[j] if a > at.feasible.upper[j] else a
        a = at.feasible.lower[j] if a < at.feasible.lower[j] else a
    return a


cdef bint set_trial(Memory *at) noexcept nogil:
    """trial <- the point at the search's step; returns whether it is another one than x."""
    cdef Py_ssize_t j
    cdef double step = at.search.step
    if at.arcs:
        for j in range(at.n):
            at.trial[j] = along_arc(at, step, j)
    else:
        for j in range(at.n):
            at.trial[j] = at.x[j] + step * at.direction[j]
    if at.single:
        for j in range(at.n):
            at.trial[j] = <float> at.trial[j]
    for j in range(at.n):
        if at.trial[j] != at.x[j]:
            return True
    return False


cdef inline double path_slope(const Memory *at) noexcept nogil:
    """The slope of the cost along the arc at trial: what an edge has stopped no longer counts."""
    cdef const Feasible *feasible = &at.feasible
    cdef double total = 0, a, l1
    cdef Py_ssize_t j
    for j in range(at.n):
        a = at.x[j] + at.search.step * at.direction[j]
        l1 = l1_at(feasible, j)
        if l1 > 0 and (a * at.x[j] < 0 or a == 0):
            continue
        if feasible.lower != NULL and not feasible.lower[j] < a < feasible.upper[j]:
            continue
        total += (at.trial_gradient[j] + (l1 if a > 0 else -l1)) * at.direction[j]
    return total


cdef Status give_up(Memory *at) noexcept nogil:
    """No step along this direction is of use: the steepest descent is what is left."""
    if at.pairs.count:
        at.pairs.count, at.length = 0, 0
        return lay_out(at)
    return UNDEFINED if at.search.outside else STUCK


cdef Status lay_out(Memory *at) noexcept nogil:
    """Choose a direction and the first step along it, which `trial` takes."""
    cdef Search *search = &at.search
    cdef double slope = 0, reached
    if at.pairs.count:
        steepest(at)
        if at.arcs:
            restrict_pairs(&at.pairs, at.free)
        two_loops(&at.pairs, at.direction, at.free if at.arcs else NULL)
        slope = keep_inside(at) if at.arcs else lanes_dot(at.direction, at.gradient, at.n)
        at.decrement = -slope if slope < 0 else INFINITY
        if not -INFINITY < slope < 0 or (at.arcs and at.pairs.gamma == 0):
            at.pairs.count = 0
    if not at.pairs.count:
        slope = steepest_unit(at)
    search.step = 1.0 if at.pairs.count else 1 / sqrt(lanes_dot(at.direction, at.direction, at.n))
    if not at.learnt and at.length > 0:  # without curvature to go by, as far as the last step went
        reached = at.length / sqrt(lanes_dot(at.direction, at.direction, at.n))
        if at.pairs.count == 0 or reached > search.step:
            search.step = reached
    begin_search(search, at.value, slope, search.step, at.arcs)
    at.verifying = False
    return SEARCHING if set_trial(at) else give_up(at)


# ---- what an evaluation teaches ----

cdef void keep(Memory *at, const double *x, const double *gradient, double value) noexcept nogil:
    """Keep a point that is no iterate, or no longer, as the best."""
    memcpy(at.best_x, x, at.n * sizeof(double))
    memcpy(at.best_gradient, gradient, at.n * sizeof(double))
    at.best, at.is_best = value, False


cdef void arrive(Memory *at, double value, double norm) noexcept nogil:
    """The trial is the next iterate."""
    if at.begun and at.is_best and value > at.best:
        keep(at, at.x, at.gradient, at.value)
    memcpy(at.x, at.trial, at.n * sizeof(double))
    memcpy(at.gradient, at.trial_gradient, at.n * sizeof(double))
    add_iterate(&at.progress, at.x, value, at.value, not at.begun)
    at.value, at.norm, at.decrement = value, norm, INFINITY
    if not at.begun or value <= at.best:
        at.best, at.is_best = value, True
    at.begun = True


cdef bint may_be_minimum(const Memory *at) noexcept nogil:
    """Whether x is a minimum as far as the last direction tells, which needs a new pair."""
    cdef bint is_known = at.learnt and at.pairs.count > 0
    return (is_known and is_small(&at.goal, at.norm, at.value, at.progress.recent[0])
            and is_little_left(&at.progress, &at.goal, at.x, at.value, at.direction, at.decrement,
                               at.precision))


cdef Status verify(Memory *at) noexcept nogil:
    """Lay out a line down the gradient in parameters scaled by their sizes, whose first trial tells
    what is gained along it.

    The model knows no curvature where no step has gone: a parameter of large unit has a small
    gradient, and so the first steps hardly move it.
    """
    cdef Search *search = &at.search
    cdef double size, slope = 0, longest = 0, v
    cdef Py_ssize_t j
    for j in range(at.n):
        size = size_of(&at.progress, at.x, j)
        v = slope_at(at.x[j], at.gradient[j], &at.feasible, j)
        longest = fmax(longest, size * fabs(v))
        at.direction[j] = -size * size * v
        slope += v * at.direction[j]
    if not (0 < longest < INFINITY and -INFINITY < slope < 0):
        return CONVERGED
    begin_search(search, at.value, slope, PROBE / longest, at.arcs)
    at.verifying = True
    return SEARCHING if set_trial(at) else CONVERGED


cdef double promise(const Memory *at) noexcept nogil:
    """The change of the cost that its slopes at x promise of the step to trial."""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(at.n):
        total += slope_at(at.x[j], at.gradient[j], &at.feasible, j) * (at.trial[j] - at.x[j])
    return total


cdef Status learn(Memory *at, double value) noexcept nogil:
    """Take in the cost at trial, whose gradient is in place."""
    cdef Search *search = &at.search
    cdef Verdict verdict
    cdef double norm, slope, promised, curvature, gain, enough
    value += excess(at.trial, at.n, &at.feasible)
    norm = gradient_size(at.trial, at.trial_gradient, at.n, &at.feasible)
    if value == -INFINITY:
        return UNBOUNDED
    if not isfinite(value) or not isfinite(norm):
        value = INFINITY
    if not at.begun:
        if value == INFINITY:
            return UNDEFINED
        search.outside = False
        arrive(at, value, norm)
        return MOVED
    if at.arcs:
        slope, promised = path_slope(at), promise(at)
    else:
        slope, promised = lanes_dot(at.direction, at.trial_gradient,
                                    at.n), search.step * search.start.slope
    if at.verifying and value < INFINITY:
        at.verifying = False
        curvature = (slope - search.start.slope) / search.step
        gain = (0.5 * search.start.slope * search.start.slope / curvature if curvature > 0
                else INFINITY)
        enough = VERIFIED * small_gain(&at.progress, &at.goal, at.value)
        if gain <= fmax(enough, rounding_error(at.precision, at.value)):
            if value < at.best:
                keep(at, at.trial, at.trial_gradient, value)
            return CONVERGED
    verdict = check_step(search, value, slope, promised, at.noise)
    if verdict == ACCEPT:
        search.outside = False
        at.learnt = add_pair(&at.pairs, at.x, at.gradient, at.trial, at.trial_gradient,
                             EPS * fabs(search.start.slope) * search.step, &at.length)
        arrive(at, value, norm)
        return MOVED
    if value < at.best:
        keep(at, at.trial, at.trial_gradient, value)
    if verdict == GO_ON and set_trial(at):
        return SEARCHING
    return give_up(at)


cdef Status advance(Memory *at) noexcept nogil:
    """Lay out the line that leaves x, or verifies that it is a minimum."""
    cdef Status status
    if at.norm == 0:
        return CONVERGED if at.goal.tol > 0 or at.goal.ftol > 0 else STUCK
    status = lay_out(at)
    return verify(at) if status == SEARCHING and may_be_minimum(at) else status


cdef class QuasiNewton:
    """A run of L-BFGS from x0. `lower`, `upper` (None: no bounds) and `l1` make of it a projected,
    orthant-wise method.

    `share` is the part of l1 that each parameter has (None: all); `single` rounds every trial to
    float32; `precision` is the relative error of the cost.
    """
    cdef Memory at
    cdef readonly object x, gradient, trial
    cdef object _owners, _best_x, _best_gradient

    def __init__(self, const double[::1] x0 not None, const double[::1] lower,
                 const double[::1] upper, double l1, int memory, double precision, bint single,
                 const double[::1] share=None):
        cdef Py_ssize_t n = x0.shape[0]
        if n == 0 or memory < 1 or (lower is None) != (upper is None):
            raise ValueError("x0 is empty, there is no memory, or one of two bounds")
        if ((lower is not None and (lower.shape[0] != n or upper.shape[0] != n))
                or (share is not None and share.shape[0] != n)):
            raise ValueError(f"bounds and share must have {n} entries")
        vectors = np.zeros((10 + 2 * memory, n))
        scalars = np.zeros((2, memory))
        cdef double[:, ::1] rows = vectors, few = scalars
        self.at.n = n
        self.at.begun, self.at.arcs, self.at.single = False, l1 > 0 or lower is not None, single
        self.at.x, self.at.gradient, self.at.trial = &rows[0, 0], &rows[1, 0], &rows[2, 0]
        self.at.trial_gradient, self.at.direction = &rows[3, 0], &rows[4, 0]
        self.at.free, self.at.best_x, self.at.best_gradient = &rows[5, 0], &rows[6, 0], &rows[7, 0]
        self.at.progress.n, self.at.progress.anchor = n, &rows[8, 0]
        self.at.progress.recent = [INFINITY] * 10
        self.at.pairs = Pairs(n, memory, 0, 0, &rows[10, 0], &rows[10 + memory, 0], &few[0, 0],
                              &few[1, 0], 0)
        self.at.precision, self.at.noise = precision, NOISE * precision
        self.at.feasible = Feasible(l1, NULL, NULL, NULL)
        self.at.learnt = self.at.is_best = False
        self.at.length = 0
        self.at.goal = Goal(0, 0, False)
        self.at.best = self.at.decrement = INFINITY
        if lower is not None:
            self.at.feasible.lower, self.at.feasible.upper = &lower[0], &upper[0]
        memcpy(self.at.trial, &x0[0], n * sizeof(double))
        if share is not None:
            self.at.feasible.share = &share[0]
        self._owners = vectors, scalars, lower, upper, share
        self.x, self.gradient, self.trial = vectors[0], vectors[1], vectors[2]
        self._best_x, self._best_gradient = vectors[6], vectors[7]

    def set_goal(self, double tol, double ftol, bint absolute):
        """When a run is CONVERGED: see `Goal`. Without a goal it never is."""
        self.at.goal = Goal(tol, ftol, absolute)

    @property
    def best(self):
        """(x, cost, gradient) of the least cost evaluated: views."""
        if self.at.is_best:
            return self.x, self.at.value, self.gradient
        return self._best_x, self.at.best, self._best_gradient

    @property
    def decrement(self):
        """What the last quasi-Newton direction at x expects to gain, twice; infinity: there was
        none.
        """
        return self.at.decrement

    @property
    def unwritten(self):
        """The first entry of the gradient at `trial` that a compiled cost has not written; -1:
        none.
        """
        return first_unwritten(self.at.trial_gradient, self.at.n)

    @property
    def value(self):
        """The cost at x, l1 |x|_1 included."""
        return self.at.value

    @property
    def norm(self):
        """The largest component of the (sub)gradient at x, in size."""
        return self.at.norm

    @property
    def step(self):
        """The step along the last line."""
        return self.at.search.step

    def tell(self, double value, const double[::1] gradient not None):
        """Learn the cost and its gradient at `trial`; returns a `Status`."""
        if gradient.shape[0] != self.at.n:
            raise ValueError(f"the gradient has {gradient.shape[0]} entries, {self.at.n} are "
                             "needed")
        memcpy(self.at.trial_gradient, &gradient[0], self.at.n * sizeof(double))
        return learn(&self.at, value)

    def propose(self):
        """Lay out a line from x; returns SEARCHING, or CONVERGED or (without a goal) STUCK where
        the gradient is zero.
        """
        return advance(&self.at)

    def run(self, size_t function, size_t data, int[::1] failed not None,
            Py_ssize_t most_evaluations, double[:, ::1] record not None, double[:, ::1] path):
        """Iterate on a compiled cost until `record` is full: a row an iteration, (cost, gradient's
        size, step, evaluations so far).

        `path` (None: none) receives the iterates. Stops at a minimum, where the cost function has
        set `failed`, and (SEARCHING) after `most_evaluations`. Returns (iterations, evaluations,
        the last `Status`).
        """
        cdef Cost cost = cost_at(function, data)
        cdef Memory *at = &self.at
        cdef Py_ssize_t done = 0, most = record.shape[0], evaluations = 0
        cdef Status status = MOVED
        cdef volatile int *has_failed = &failed[0]
        cdef double value
        cdef bint ends = at.goal.tol > 0 or at.goal.ftol > 0
        if record.shape[1] != 4 or (path is not None and (path.shape[0] < most
                                                          or path.shape[1] != at.n)):
            raise ValueError("record or path have the wrong shape")
        cdef double *to = NULL if path is None or path.shape[0] == 0 else &path[0, 0]
        with nogil:
            while done < most:
                status = advance(at)
                while status == SEARCHING and evaluations < most_evaluations:
                    blank(at.trial_gradient, at.n)
                    value = cost.function(at.trial, at.trial_gradient, at.n, cost.data)
                    evaluations += 1
                    if has_failed[0]:
                        status = FAILED
                    elif isfinite(value) and first_unwritten(at.trial_gradient, at.n) >= 0:
                        status = UNWRITTEN
                    else:
                        status = learn(at, value)
                if status != MOVED and not (status == STUCK and not ends):
                    break
                record[done, 0] = at.value
                record[done, 1] = at.norm
                record[done, 2] = at.search.step
                record[done, 3] = evaluations
                if to != NULL:
                    memcpy(to + done * at.n, at.x, at.n * sizeof(double))
                done += 1
        return done, evaluations, status
