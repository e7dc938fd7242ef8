"""Quasi-Newton descent of a cost function: the directions of L-BFGS, and line searches that ask for one evaluation at a time.

Whoever holds the cost evaluates it at `trial` and calls `tell` until that returns something else than SEARCHING; then `propose`
lays out the next line. For compiled costs `run` does both without Python. L1 and bounds make of every line an arc: the step keeps
to the orthant and the box, and parameters that rest on an edge stay there while the gradient holds them.
"""
import numpy as np

from libc.math cimport INFINITY, fabs, fmax, fmin, isfinite, isnan, sqrt
from libc.string cimport memcpy

from .cost cimport Cost, Feasible, cost_at, excess, gradient_size, l1_at, slope_at
from .rows cimport dense_add, lanes_dot

cpdef enum Status:
    SEARCHING                   # evaluate at `trial`, and tell
    MOVED                       # x is a new iterate
    STUCK                       # no step along the steepest descent lowers the cost
    UNDEFINED                   # the cost, or a component of its gradient, is not a finite number

cdef enum:
    MOST_TRIALS = 20            # a line

cdef enum Verdict:
    GO_ON
    ACCEPT
    GIVE_UP

# More and Thuente's and L-BFGS-B's: sufficient decrease, curvature, relative width at which an interval is given up
cdef double DECREASE = 1e-3, FLATTER = 0.9, WIDTH = 0.1, ARMIJO = 1e-4, FARTHEST = 1e10


cdef struct Point:
    double step, value, slope

cdef struct Search:             # along a line; the interval (low, other) holds a good step, low the best of all so far
    Point start, low, other
    double step, least, most    # the next step, and where it may lie
    double width, older_width
    bint bracketed, curved      # curved: a step with sufficient decrease and a rising cost has been met
    int trials

cdef struct Memory:
    Py_ssize_t n, capacity, pairs, next         # pairs held, and the place of the next
    bint begun, arcs, single    # single: trials are rounded to float32
    double *x
    double *gradient
    double *trial
    double *trial_gradient
    double *direction
    double *s                   # (capacity, n) steps
    double *y                   # (capacity, n) changes of the gradient
    double *scale               # (capacity,) 1 / s'y; 0: the pair is passed over
    double *share               # (capacity,)
    double *free                # (n,) 1 where the step may go, else 0
    double gamma                # s'y / y'y of the newest pair
    double value, norm, noise
    Feasible feasible
    Search search


# ---- the search of More and Thuente (ACM TOMS 1994), as MINPACK-2 has it ----

cdef inline double cubic(const Point *a, const Point *b, double *gamma) noexcept nogil:
    """How far from a, in units of b - a, the cubic through both points has its minimum."""
    cdef double theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    cdef double size = fmax(fabs(theta), fmax(fabs(a.slope), fabs(b.slope)))
    gamma[0] = size * sqrt(fmax(0.0, (theta / size) * (theta / size) - (a.slope / size) * (b.slope / size)))
    gamma[0] = gamma[0] if b.step > a.step else -gamma[0]
    return ((gamma[0] - a.slope) + theta) / (((gamma[0] - a.slope) + gamma[0]) + b.slope)


cdef double next_step(Search *at, const Point *now) noexcept nogil:
    """The step to try after `now`, which may complete the interval: the better of a cubic's and a parabola's minimum."""
    cdef double c, q, gamma, step = now.step, low = at.low.step, tried
    if now.value > at.low.value:
        c = low + cubic(&at.low, now, &gamma) * (step - low)
        q = low + at.low.slope / ((at.low.value - now.value) / (step - low) + at.low.slope) / 2 * (step - low)
        at.bracketed = True
        return c if fabs(c - low) < fabs(q - low) else c + (q - c) / 2
    if now.slope * at.low.slope < 0:
        c = step + cubic(now, &at.low, &gamma) * (low - step)
        q = step + now.slope / (now.slope - at.low.slope) * (low - step)
        at.bracketed = True
        return c if fabs(c - step) > fabs(q - step) else q
    if fabs(now.slope) < fabs(at.low.slope):
        c = cubic(now, &at.low, &gamma)
        c = step + c * (low - step) if c < 0 and gamma != 0 else (at.most if step > low else at.least)
        q = step + now.slope / (now.slope - at.low.slope) * (low - step)
        if at.bracketed:
            tried = c if fabs(c - step) < fabs(q - step) else q
            q = step + 0.66 * (at.other.step - step)
            return fmin(q, tried) if step > low else fmax(q, tried)
        tried = c if fabs(c - step) > fabs(q - step) else q
        return fmax(fmin(tried, at.most), at.least)
    if at.bracketed:
        return step + cubic(now, &at.other, &gamma) * (at.other.step - step)
    return at.most if step > low else at.least


cdef void narrow(Search *at, Point now) noexcept nogil:
    """Take `now` into the interval, and choose the next step."""
    cdef double step = next_step(at, &now)
    if now.value > at.low.value:
        at.other = now
    else:
        if now.slope * at.low.slope < 0:
            at.other = at.low
        at.low = now
    at.step = step


cdef inline void tilt(Point *at, double slope) noexcept nogil:
    at.value -= at.step * slope
    at.slope -= slope


cdef Verdict look(Search *at, double value, double slope, double noise) noexcept nogil:
    """What the value and slope at `step` call for: accept it, give up, or evaluate at the new `step`."""
    cdef double least_slope = DECREASE * at.start.slope, wanted = at.start.value + at.step * least_slope
    cdef bint fell = value <= wanted, ended
    at.trials += 1
    if fell and fabs(slope) <= -FLATTER * at.start.slope:
        return ACCEPT
    # Hager and Zhang's test, where differences of the cost are rounding errors: the slopes tell more
    if fabs(value - at.start.value) <= noise * fabs(at.start.value) and FLATTER * at.start.slope <= slope <= -0.8 * at.start.slope:
        return ACCEPT
    if isnan(value) or value == INFINITY:  # off the cost's domain
        at.step = at.low.step + 0.1 * (at.step - at.low.step)
        return GO_ON if at.trials < MOST_TRIALS else GIVE_UP
    at.curved = at.curved or (fell and slope >= 0)
    ended = at.trials >= MOST_TRIALS or (at.bracketed and (at.step <= at.least or at.step >= at.most
                                                           or at.most - at.least <= WIDTH * at.most))
    if ended or (at.step >= FARTHEST and fell):
        return ACCEPT if value < at.start.value else GIVE_UP
    if not at.curved and not fell and value <= at.low.value:  # the line less its wanted decrease: it has a minimum sooner
        tilt(&at.low, least_slope)
        tilt(&at.other, least_slope)
        narrow(at, Point(at.step, value - at.step * least_slope, slope - least_slope))
        tilt(&at.low, -least_slope)
        tilt(&at.other, -least_slope)
    else:
        narrow(at, Point(at.step, value, slope))
    if at.bracketed:
        if fabs(at.other.step - at.low.step) >= 0.66 * at.older_width:
            at.step = at.low.step + 0.5 * (at.other.step - at.low.step)
        at.older_width, at.width = at.width, fabs(at.other.step - at.low.step)
        at.least, at.most = fmin(at.low.step, at.other.step), fmax(at.low.step, at.other.step)
    else:
        at.least, at.most = at.step + 1.1 * (at.step - at.low.step), at.step + 4.0 * (at.step - at.low.step)
    at.step = fmax(0.0, fmin(at.step, FARTHEST))
    if at.bracketed and (at.step <= at.least or at.step >= at.most or at.most - at.least <= WIDTH * at.most):
        at.step = at.low.step
    return GO_ON


cdef Verdict look_along_arc(Search *at, double value, double promised) noexcept nogil:
    """The same for an arc: sufficient decrease of the first order's promise, else a shorter step by the parabola."""
    cdef double share
    at.trials += 1
    if promised < 0 and value <= at.start.value + ARMIJO * promised:
        return ACCEPT
    if at.trials >= MOST_TRIALS + 10:
        return GIVE_UP
    share = -0.5 * promised / (value - at.start.value - promised) if promised < 0 else 0.1
    at.step *= 0.1 if not share > 0.1 else (0.5 if share > 0.5 else share)
    return GO_ON


# ---- directions ----

cdef inline void project(double *v, const double *free, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        v[j] *= free[j]


cdef inline double masked_dot(const double *a, const double *b, const double *free, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += free[j] * a[j] * b[j]
    return total


cdef void restrict_pairs(Memory *at) noexcept nogil:
    """The pairs' scales, and gamma, in the space of the free parameters."""
    cdef Py_ssize_t i, k, n = at.n
    cdef double sy, yy
    at.gamma = 0
    for i in range(at.pairs):
        k = (at.next - 1 - i + at.capacity) % at.capacity
        sy, yy = masked_dot(at.s + k * n, at.y + k * n, at.free, n), masked_dot(at.y + k * n, at.y + k * n, at.free, n)
        at.scale[k] = 1 / sy if sy > 1e-10 * yy else 0.0
        if at.gamma == 0 and sy > 1e-10 * yy:
            at.gamma = sy / yy


cdef void two_loops(Memory *at) noexcept nogil:
    """direction <- H direction, H the inverse Hessian that the pairs make of gamma I (Nocedal, 1980)."""
    cdef Py_ssize_t i, j, k, n = at.n
    cdef double *d = at.direction
    cdef double back
    for i in range(at.pairs):
        k = (at.next - 1 - i + at.capacity) % at.capacity
        at.share[k] = at.scale[k] * lanes_dot(at.s + k * n, d, n)
        dense_add(-at.share[k], at.y + k * n, d, n)
        if at.arcs:
            project(d, at.free, n)
    for j in range(n):
        d[j] *= at.gamma
    for i in range(at.pairs):
        k = (at.next - at.pairs + i + at.capacity) % at.capacity
        back = at.scale[k] * lanes_dot(at.y + k * n, d, n)
        dense_add(at.share[k] - back, at.s + k * n, d, n)
        if at.arcs:
            project(d, at.free, n)


cdef inline double steepest(Memory *at) noexcept nogil:
    """direction <- -(sub)gradient; returns its slope. What is held by an edge is not free."""
    cdef const Feasible *feasible = &at.feasible
    cdef Py_ssize_t j
    cdef bint edge
    for j in range(at.n):
        at.direction[j] = -slope_at(at.x[j], at.gradient[j], feasible, j) if at.arcs else -at.gradient[j]
    if at.arcs:
        for j in range(at.n):
            edge = l1_at(feasible, j) > 0 and at.x[j] == 0
            edge = edge or (feasible.lower != NULL and not feasible.lower[j] < at.x[j] < feasible.upper[j])
            at.free[j] = 0.0 if edge and at.direction[j] == 0 else 1.0
    return -lanes_dot(at.direction, at.direction, at.n)


cdef double keep_inside(Memory *at) noexcept nogil:
    """Stop the direction where it leaves an edge outward; returns the slope along it."""
    cdef const Feasible *feasible = &at.feasible
    cdef Py_ssize_t j
    cdef double v, slope = 0
    cdef bint edge
    for j in range(at.n):
        v = slope_at(at.x[j], at.gradient[j], feasible, j)
        edge = l1_at(feasible, j) > 0 and at.x[j] == 0
        edge = edge or (feasible.lower != NULL and not feasible.lower[j] < at.x[j] < feasible.upper[j])
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


cdef void set_trial(Memory *at) noexcept nogil:
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


cdef Status lay_out(Memory *at) noexcept nogil:
    """Choose a direction and the first step along it, which `trial` takes."""
    cdef double slope = steepest(at), length = sqrt(-slope)
    if slope == 0:
        return STUCK
    if at.pairs and at.arcs:
        restrict_pairs(at)
        if at.gamma == 0:
            at.pairs = 0
    if at.pairs:
        two_loops(at)
        slope = keep_inside(at) if at.arcs else lanes_dot(at.direction, at.gradient, at.n)
        if not slope < 0:
            at.pairs = 0
            slope = steepest(at)
    at.search.start = at.search.low = at.search.other = Point(0, at.value, slope)
    at.search.step = 1.0 if at.pairs else fmin(1.0 / length, FARTHEST)
    at.search.least, at.search.most = 0, 5 * at.search.step
    at.search.width, at.search.older_width = FARTHEST, 2 * FARTHEST
    at.search.bracketed, at.search.curved, at.search.trials = False, False, 0
    set_trial(at)
    return SEARCHING


# ---- what an evaluation teaches ----

cdef void remember(Memory *at) noexcept nogil:
    """The pair of the step from x to trial, unless the cost is not convex along it."""
    cdef Py_ssize_t j, n = at.n
    cdef double *s = at.s + at.next * n
    cdef double *y = at.y + at.next * n
    cdef double sy, yy
    for j in range(n):
        s[j] = at.trial[j] - at.x[j]
        y[j] = at.trial_gradient[j] - at.gradient[j]
    sy, yy = lanes_dot(s, y, n), lanes_dot(y, y, n)
    if sy > 2.2e-16 * yy and sy > 2.2e-16 * fabs(at.search.start.slope) * at.search.step:
        at.scale[at.next], at.gamma = 1 / sy, sy / yy
        at.next = (at.next + 1) % at.capacity
        at.pairs = min(at.pairs + 1, at.capacity)


cdef void arrive(Memory *at, double value, double norm) noexcept nogil:
    memcpy(at.x, at.trial, at.n * sizeof(double))
    memcpy(at.gradient, at.trial_gradient, at.n * sizeof(double))
    at.value, at.norm = value, norm


cdef double promise(const Memory *at) noexcept nogil:
    """The change of the cost that its slopes at x promise of the step to trial."""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(at.n):
        total += slope_at(at.x[j], at.gradient[j], &at.feasible, j) * (at.trial[j] - at.x[j])
    return total


cdef Status learn(Memory *at, double value) noexcept nogil:
    """Take in the cost at trial, whose gradient is in place."""
    cdef Verdict verdict
    cdef double norm
    value += excess(at.trial, at.n, &at.feasible)
    norm = gradient_size(at.trial, at.trial_gradient, at.n, &at.feasible)
    if isnan(value) or value == -INFINITY or (value < INFINITY and not isfinite(norm)):
        return UNDEFINED
    if not at.begun:
        if not isfinite(value):
            return UNDEFINED
        at.begun = True
        arrive(at, value, norm)
        return MOVED
    if at.arcs:
        verdict = look_along_arc(&at.search, value, promise(at))
    else:
        verdict = look(&at.search, value, lanes_dot(at.direction, at.trial_gradient, at.n), at.noise)
    if verdict == ACCEPT:
        remember(at)
        arrive(at, value, norm)
        return MOVED
    if verdict == GO_ON:
        set_trial(at)
        return SEARCHING
    if at.pairs:
        at.pairs = 0
        return lay_out(at)
    return STUCK


cdef class QuasiNewton:
    """A run of L-BFGS from x0. `lower`, `upper` (None: no bounds) and `l1` make of it a projected, orthant-wise method.

    `share` is the part of l1 that each parameter has (None: all); `single` rounds every trial to float32; `noise` is the relative
    rounding error of the cost.
    """
    cdef Memory at
    cdef readonly object x, gradient, trial
    cdef object _owners

    def __init__(self, const double[::1] x0 not None, const double[::1] lower, const double[::1] upper, double l1, int memory,
                 double noise, bint single, const double[::1] share=None):
        cdef Py_ssize_t n = x0.shape[0]
        if n == 0 or memory < 1 or (lower is None) != (upper is None):
            raise ValueError("x0 is empty, there is no memory, or one of two bounds")
        if ((lower is not None and (lower.shape[0] != n or upper.shape[0] != n))
                or (share is not None and share.shape[0] != n)):
            raise ValueError(f"bounds and share must have {n} entries")
        vectors = np.zeros((6 + 2 * memory, n))
        scalars = np.zeros((2, memory))
        cdef double[:, ::1] rows = vectors, few = scalars
        self.at.n, self.at.capacity, self.at.pairs, self.at.next = n, memory, 0, 0
        self.at.begun, self.at.arcs, self.at.single = False, l1 > 0 or lower is not None, single
        self.at.x, self.at.gradient, self.at.trial = &rows[0, 0], &rows[1, 0], &rows[2, 0]
        self.at.trial_gradient, self.at.direction, self.at.free = &rows[3, 0], &rows[4, 0], &rows[5, 0]
        self.at.s, self.at.y, self.at.scale, self.at.share = &rows[6, 0], &rows[6 + memory, 0], &few[0, 0], &few[1, 0]
        self.at.noise, self.at.feasible = noise, Feasible(l1, NULL, NULL, NULL)
        if lower is not None:
            self.at.feasible.lower, self.at.feasible.upper = &lower[0], &upper[0]
        memcpy(self.at.trial, &x0[0], n * sizeof(double))
        if share is not None:
            self.at.feasible.share = &share[0]
        self._owners = vectors, scalars, lower, upper, share
        self.x, self.gradient, self.trial = vectors[0], vectors[1], vectors[2]

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
            raise ValueError(f"the gradient has {gradient.shape[0]} entries, {self.at.n} are needed")
        memcpy(self.at.trial_gradient, &gradient[0], self.at.n * sizeof(double))
        return learn(&self.at, value)

    def propose(self):
        """Lay out a line from x; returns SEARCHING, or STUCK where the gradient is zero."""
        return lay_out(&self.at)

    def run(self, size_t function, size_t data, double tol, double[:, ::1] record not None, double[:, ::1] path):
        """Iterate on a compiled cost until `record` is full: a row an iteration, (cost, gradient's size, step, evaluations so far).

        `path` (None: none) receives the iterates. Stops where the gradient is at most tol * max(1, |cost|) (tol 0: never).
        Returns (iterations, evaluations, the last `Status`).
        """
        cdef Cost cost = cost_at(function, data)
        cdef Memory *at = &self.at
        cdef Py_ssize_t done = 0, most = record.shape[0], evaluations = 0
        cdef Status status = MOVED
        if record.shape[1] != 4 or (path is not None and (path.shape[0] < most or path.shape[1] != at.n)):
            raise ValueError("record or path have the wrong shape")
        cdef double *to = NULL if path is None or path.shape[0] == 0 else &path[0, 0]
        with nogil:
            while done < most:
                status = lay_out(at) if at.begun else SEARCHING
                while status == SEARCHING:
                    status = learn(at, cost.function(at.trial, at.trial_gradient, at.n, cost.data))
                    evaluations += 1
                if status == UNDEFINED or (status == STUCK and tol > 0):
                    break
                record[done, 0], record[done, 1], record[done, 2], record[done, 3] = at.value, at.norm, at.search.step, evaluations
                if to != NULL:
                    memcpy(to + done * at.n, at.x, at.n * sizeof(double))
                done += 1
                if tol > 0 and at.norm <= tol * fmax(1.0, fabs(at.value)):
                    break
        return done, evaluations, status
