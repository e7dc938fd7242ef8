"""L-BFGS for a cost function, with a line search that asks for one evaluation at a time.

The caller evaluates the cost at `trial` and calls `tell` until that returns something else than
SEARCHING; then `propose` begins the next line. For compiled costs `run` does both without Python. A
trial where the cost or its gradient is not finite is outside the domain, and limits the step.
"""
import numpy as np

from libc.math cimport INFINITY, fabs, fmax, isfinite, sqrt
from libc.string cimport memcpy

from .cost cimport (CONVERGED, FAILED, MOVED, SEARCHING, STUCK, UNBOUNDED, UNDEFINED, UNWRITTEN,
                    Cost, Goal, L1AndBounds, Status, cost_at, first_unwritten, gradient_size,
                    is_small, l1_penalty, mark_unwritten, projected_slope)
from .lbfgs cimport Pairs, add_pair, restrict_pairs, two_loops
from .lbfgs_line cimport (LBFGSState, path_slope, predicted_change, project_direction,
                          set_gradient_direction, set_scaled_gradient_direction, set_trial)
from .more_thuente cimport ACCEPT, GO_ON, Search, Verdict, begin_search, check_step
from .progress cimport add_iterate, is_minimum, parameter_size, rounding_error, small_gain
from .rows cimport lanes_dot

# The change of a parameter in the verification step, relative to its size: small, so that the cost
# is nearly quadratic, and large relative to the 1e-8 at which rounding hides a curvature.
cdef double VERIFICATION_STEP = 1e-4
# The verification step must gain at most this share of `small_gain`: it gains less than a Newton
# step, since the parameters differ in curvature.
cdef double VERIFIED_SHARE = 0.01
cdef double EPS = 2.2e-16
# Differences of the cost below so many rounding errors, as those of a sum of many terms, are less
# reliable than slopes.
cdef double NOISE_ROUNDINGS = 1e3


cdef Status restart_or_stop(LBFGSState *at) noexcept nogil:
    """No step along this direction helps: try the steepest descent, unless it was that."""
    if at.pairs.count:
        at.pairs.count, at.step_length = 0, 0
        return choose_line(at)
    return UNDEFINED if at.search.outside else STUCK


cdef Status choose_line(LBFGSState *at) noexcept nogil:
    """Choose a direction and set `trial` to the first step along it."""
    cdef Search *search = &at.search
    cdef double slope = 0, reached
    if at.pairs.count:
        set_gradient_direction(at)
        if at.arcs:
            restrict_pairs(&at.pairs, at.free)
        two_loops(&at.pairs, at.direction, at.free if at.arcs else NULL)
        slope = project_direction(at) if at.arcs else lanes_dot(at.direction, at.gradient, at.n)
        at.decrement = -slope if slope < 0 else INFINITY
        if not -INFINITY < slope < 0 or (at.arcs and at.pairs.gamma == 0):
            at.pairs.count = 0
    if not at.pairs.count:
        slope = set_scaled_gradient_direction(at)
    search.step = 1.0 if at.pairs.count else 1 / sqrt(lanes_dot(at.direction, at.direction, at.n))
    if not at.has_new_pair and at.step_length > 0:  # no new curvature: at least the last length
        reached = at.step_length / sqrt(lanes_dot(at.direction, at.direction, at.n))
        if at.pairs.count == 0 or reached > search.step:
            search.step = reached
    begin_search(search, at.value, slope, search.step, at.arcs)
    at.verifying = False
    return SEARCHING if set_trial(at) else restart_or_stop(at)


cdef void store_best(LBFGSState *at, const double *x, const double *gradient,
                     double value) noexcept nogil:
    """Store a point that is not x as the best."""
    memcpy(at.best_x, x, at.n * sizeof(double))
    memcpy(at.best_gradient, gradient, at.n * sizeof(double))
    at.best_value, at.x_is_best = value, False


cdef void accept_trial(LBFGSState *at, double value, double norm) noexcept nogil:
    """Make the trial the next iterate."""
    if at.started and at.x_is_best and value > at.best_value:
        store_best(at, at.x, at.gradient, at.value)
    memcpy(at.x, at.trial, at.n * sizeof(double))
    memcpy(at.gradient, at.trial_gradient, at.n * sizeof(double))
    add_iterate(&at.progress, at.x, value, at.value, not at.started)
    at.value, at.norm, at.decrement = value, norm, INFINITY
    if not at.started or value <= at.best_value:
        at.best_value, at.x_is_best = value, True
    at.started = True


cdef bint seems_minimum(const LBFGSState *at) noexcept nogil:
    """Whether x seems a minimum by the last direction, if that used a new pair."""
    cdef bint is_known = at.has_new_pair and at.pairs.count > 0
    return (is_known and is_small(&at.goal, at.norm, at.value, at.progress.recent[0])
            and is_minimum(&at.progress, &at.goal, at.x, at.value, at.direction, at.decrement,
                           at.precision))


cdef Status start_verification(LBFGSState *at) noexcept nogil:
    """Begin a line along the gradient in parameters divided by their sizes. Its first trial shows
    the gain along it.

    The quasi-Newton model has no curvature in directions without a step: a parameter with a large
    unit has a small gradient, and the first steps hardly move it.
    """
    cdef Search *search = &at.search
    cdef double size, slope = 0, longest = 0, v
    cdef Py_ssize_t j
    for j in range(at.n):
        size = parameter_size(&at.progress, at.x, j)
        v = projected_slope(at.x[j], at.gradient[j], &at.terms, j)
        longest = fmax(longest, size * fabs(v))
        at.direction[j] = -size * size * v
        slope += v * at.direction[j]
    if not (0 < longest < INFINITY and -INFINITY < slope < 0):
        return CONVERGED
    begin_search(search, at.value, slope, VERIFICATION_STEP / longest, at.arcs)
    at.verifying = True
    return SEARCHING if set_trial(at) else CONVERGED


cdef Status process_trial(LBFGSState *at, double value) noexcept nogil:
    """Process the cost and gradient at trial."""
    cdef Search *search = &at.search
    cdef Verdict verdict
    cdef double norm, slope, predicted, curvature, gain, enough
    value += l1_penalty(at.trial, at.n, &at.terms)
    norm = gradient_size(at.trial, at.trial_gradient, at.n, &at.terms)
    if value == -INFINITY:
        return UNBOUNDED
    if not isfinite(value) or not isfinite(norm):
        value = INFINITY
    if not at.started:
        if value == INFINITY:
            return UNDEFINED
        search.outside = False
        accept_trial(at, value, norm)
        return MOVED
    if at.arcs:
        slope, predicted = path_slope(at), predicted_change(at)
    else:
        slope = lanes_dot(at.direction, at.trial_gradient, at.n)
        predicted = search.step * search.start.slope
    if at.verifying and value < INFINITY:
        at.verifying = False
        curvature = (slope - search.start.slope) / search.step
        gain = (0.5 * search.start.slope * search.start.slope / curvature if curvature > 0
                else INFINITY)
        enough = VERIFIED_SHARE * small_gain(&at.progress, &at.goal, at.value)
        if gain <= fmax(enough, rounding_error(at.precision, at.value)):
            if value < at.best_value:
                store_best(at, at.trial, at.trial_gradient, value)
            return CONVERGED
    verdict = check_step(search, value, slope, predicted, at.noise)
    if verdict == ACCEPT:
        search.outside = False
        at.has_new_pair = add_pair(&at.pairs, at.x, at.gradient, at.trial, at.trial_gradient,
                                   EPS * fabs(search.start.slope) * search.step, &at.step_length)
        accept_trial(at, value, norm)
        return MOVED
    if value < at.best_value:
        store_best(at, at.trial, at.trial_gradient, value)
    if verdict == GO_ON and set_trial(at):
        return SEARCHING
    return restart_or_stop(at)


cdef Status next_line(LBFGSState *at) noexcept nogil:
    """Begin the next line from x, or one that verifies that x is a minimum."""
    cdef Status status
    if at.norm == 0:
        return CONVERGED if at.goal.tol > 0 or at.goal.ftol > 0 else STUCK
    status = choose_line(at)
    return start_verification(at) if status == SEARCHING and seems_minimum(at) else status


cdef class QuasiNewton:
    """A run of L-BFGS from x0; a projected, orthant-wise one with `lower` and `upper` (None: no
    bounds) or `l1`.

    `l1_weights` are factors of l1 for each parameter (None: all 1). `single` rounds every trial to
    float32. `precision` is the relative error of the cost.
    """
    cdef LBFGSState at
    cdef readonly object x, gradient, trial
    cdef object _owners, _best_x, _best_gradient

    def __init__(self, const double[::1] x0 not None, const double[::1] lower,
                 const double[::1] upper, double l1, int memory, double precision, bint single,
                 const double[::1] l1_weights=None):
        cdef Py_ssize_t n = x0.shape[0]
        if n == 0 or memory < 1 or (lower is None) != (upper is None):
            raise ValueError("x0 is empty, memory is below 1, or one of two bounds is missing")
        if ((lower is not None and (lower.shape[0] != n or upper.shape[0] != n))
                or (l1_weights is not None and l1_weights.shape[0] != n)):
            raise ValueError(f"bounds and l1_weights must have {n} entries")
        vectors = np.zeros((10 + 2 * memory, n))
        scalars = np.zeros((2, memory))
        cdef double[:, ::1] rows = vectors, few = scalars
        self.at.n = n
        self.at.started, self.at.is_float32 = False, single
        self.at.arcs = l1 > 0 or lower is not None
        self.at.x, self.at.gradient, self.at.trial = &rows[0, 0], &rows[1, 0], &rows[2, 0]
        self.at.trial_gradient, self.at.direction = &rows[3, 0], &rows[4, 0]
        self.at.free, self.at.best_x, self.at.best_gradient = &rows[5, 0], &rows[6, 0], &rows[7, 0]
        self.at.progress.n, self.at.progress.anchor = n, &rows[8, 0]
        self.at.progress.recent = [INFINITY] * 10
        self.at.pairs = Pairs(n, memory, 0, 0, &rows[10, 0], &rows[10 + memory, 0], &few[0, 0],
                              &few[1, 0], 0)
        self.at.precision, self.at.noise = precision, NOISE_ROUNDINGS * precision
        self.at.terms = L1AndBounds(l1, NULL, NULL, NULL)
        self.at.has_new_pair = self.at.x_is_best = False
        self.at.step_length = 0
        self.at.goal = Goal(0, 0, False)
        self.at.best_value = self.at.decrement = INFINITY
        if lower is not None:
            self.at.terms.lower, self.at.terms.upper = &lower[0], &upper[0]
        memcpy(self.at.trial, &x0[0], n * sizeof(double))
        if l1_weights is not None:
            self.at.terms.l1_weights = &l1_weights[0]
        self._owners = vectors, scalars, lower, upper, l1_weights
        self.x, self.gradient, self.trial = vectors[0], vectors[1], vectors[2]
        self._best_x, self._best_gradient = vectors[6], vectors[7]

    def set_goal(self, double tol, double ftol, bint absolute):
        """Set the `Goal` at which a run is CONVERGED. Without a goal it never is."""
        self.at.goal = Goal(tol, ftol, absolute)

    @property
    def best(self):
        """(x, cost, gradient) of the least cost evaluated: views."""
        if self.at.x_is_best:
            return self.x, self.at.value, self.gradient
        return self._best_x, self.at.best_value, self._best_gradient

    @property
    def decrement(self):
        """Twice the gain that the last quasi-Newton direction at x predicts; infinity if there was
        none.
        """
        return self.at.decrement

    @property
    def unwritten(self):
        """The first entry of the gradient at `trial` not written by a compiled cost; -1: none."""
        return first_unwritten(self.at.trial_gradient, self.at.n)

    @property
    def value(self):
        """The cost at x, with l1 |x|_1."""
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
        """Process the cost and its gradient at `trial`; returns a `Status`."""
        if gradient.shape[0] != self.at.n:
            raise ValueError(f"the gradient has {gradient.shape[0]} entries, {self.at.n} are "
                             "needed")
        memcpy(self.at.trial_gradient, &gradient[0], self.at.n * sizeof(double))
        return process_trial(&self.at, value)

    def propose(self):
        """Begin a line from x; returns SEARCHING. Where the gradient is 0 it returns CONVERGED or,
        without a goal, STUCK.
        """
        return next_line(&self.at)

    def run(self, size_t function, size_t data, int[::1] failed not None,
            Py_ssize_t max_evaluations, double[:, ::1] record not None, double[:, ::1] path):
        """Iterate on a compiled cost until `record` is full. It receives a row for each iteration:
        cost, largest gradient component, step, evaluations so far.

        `path` (None: none) receives the iterates. The run stops at a minimum, when the cost
        function has set `failed`, and after `max_evaluations`, then with SEARCHING. Returns
        (iterations, evaluations, the last `Status`).
        """
        cdef Cost cost = cost_at(function, data)
        cdef LBFGSState *at = &self.at
        cdef Py_ssize_t done = 0, capacity = record.shape[0], evaluations = 0
        cdef Status status = MOVED
        cdef volatile int *has_failed = &failed[0]
        cdef double value
        cdef bint ends = at.goal.tol > 0 or at.goal.ftol > 0
        if record.shape[1] != 4 or (path is not None and (path.shape[0] < capacity
                                                          or path.shape[1] != at.n)):
            raise ValueError("record or path have the wrong shape")
        cdef double *to = NULL if path is None or path.shape[0] == 0 else &path[0, 0]
        with nogil:
            while done < capacity:
                status = next_line(at)
                while status == SEARCHING and evaluations < max_evaluations:
                    mark_unwritten(at.trial_gradient, at.n)
                    value = cost.function(at.trial, at.trial_gradient, at.n, cost.data)
                    evaluations += 1
                    if has_failed[0]:
                        status = FAILED
                    elif isfinite(value) and first_unwritten(at.trial_gradient, at.n) >= 0:
                        status = UNWRITTEN
                    else:
                        status = process_trial(at, value)
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
