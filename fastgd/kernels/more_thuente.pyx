"""The line search of More and Thuente (ACM TOMS 1994), as MINPACK-2 has it: one step at a time.

Arcs, which bounds and L1 bend, need steps of weak Wolfe conditions only. A trial off the domain of
the cost, whose value is infinite, is an upper limit of the step.
"""
from libc.math cimport INFINITY, fabs, fmax, fmin, sqrt

cdef enum:
    MOST_TRIALS = 20            # a line
    MOST_ARC_TRIALS = 30        # an arc, whose steps are shortened more cautiously

# More and Thuente's and L-BFGS-B's: sufficient decrease, curvature, relative width at which an
# interval is given up; the longest step is FARTHEST times the first
cdef double DECREASE = 1e-3, FLATTER = 0.9, WIDTH = 0.1, ARMIJO = 1e-4, FARTHEST = 1e10


cdef inline double cubic(const Point *a, const Point *b, double *gamma) noexcept nogil:
    """How far from a, in units of b - a, the cubic through both points has its minimum."""
    cdef double theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    cdef double size = fmax(fabs(theta), fmax(fabs(a.slope), fabs(b.slope)))
    gamma[0] = size * sqrt(fmax(0.0, (theta / size) * (theta / size) - (a.slope / size)
                                * (b.slope / size)))
    gamma[0] = gamma[0] if b.step > a.step else -gamma[0]
    return ((gamma[0] - a.slope) + theta) / (((gamma[0] - a.slope) + gamma[0]) + b.slope)


cdef double next_step(Search *at, const Point *now) noexcept nogil:
    """The step to try after `now`, which may complete the interval: the better of a cubic's and a
    parabola's minimum.
    """
    cdef double c, q, gamma, step = now.step, low = at.low.step, tried
    if now.value > at.low.value:
        c = low + cubic(&at.low, now, &gamma) * (step - low)
        q = low + at.low.slope / ((at.low.value - now.value) / (step - low)
                                  + at.low.slope) / 2 * (step - low)
        at.bracketed = True
        return c if fabs(c - low) < fabs(q - low) else c + (q - c) / 2
    if now.slope * at.low.slope < 0:
        c = step + cubic(now, &at.low, &gamma) * (low - step)
        q = step + now.slope / (now.slope - at.low.slope) * (low - step)
        at.bracketed = True
        return c if fabs(c - step) > fabs(q - step) else q
    if fabs(now.slope) < fabs(at.low.slope):
        c = cubic(now, &at.low, &gamma)
        c = step + c * (low - step) if c < 0 and gamma != 0 else (at.most if step > low
                                                                  else at.least)
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


cdef Verdict settle(Search *at) noexcept nogil:
    """End the search at its best trial, which is evaluated again unless it was the last one."""
    if not at.low.value < at.start.value:
        return GIVE_UP
    if at.step == at.low.step:
        return ACCEPT
    at.step, at.settled = at.low.step, True
    return GO_ON


cdef Verdict turn_back(Search *at) noexcept nogil:
    """The trial is off the cost's domain: a shorter step, and none as long again."""
    at.outside = True
    if at.step > at.low.step:
        at.limit = at.step
    if at.trials >= MOST_TRIALS or at.limit - at.low.step <= WIDTH * at.low.step:
        return settle(at)
    at.step = at.low.step + 0.1 * (at.step - at.low.step)
    return GO_ON


cdef Verdict shorten(Search *at, double value, double slope, double promised) noexcept nogil:
    """A shorter step along an arc of which only its start is known to be good: the minimum of the
    parabola.
    """
    cdef double share = -0.5 * promised / (value - at.start.value
                                           - promised) if promised < 0 else 0.1
    at.other, at.bracketed = Point(at.step, value, slope), True
    at.width = at.older_width = at.most = at.step
    at.least = 0
    at.step *= 0.1 if not share > 0.1 else (0.5 if share > 0.5 else share)
    return GO_ON


cdef Verdict check_step(Search *at, double value, double slope, double promised,
                        double noise) noexcept nogil:
    """What the value and slope at `step` call for: accept it, give up, or evaluate at the new
    `step`.

    `promised` is the change of the cost that the slopes at the start promise; a value of infinity
    is off the domain.
    """
    cdef int most_trials = MOST_ARC_TRIALS if at.arc else MOST_TRIALS
    cdef double least_slope = DECREASE * at.start.slope, flat = FLATTER * at.start.slope
    cdef bint fell = promised < 0 and value <= at.start.value + (ARMIJO if at.arc
                                                                 else DECREASE) * promised, ended
    at.trials += 1
    if at.settled:
        return ACCEPT if value < at.start.value else GIVE_UP
    if value == INFINITY:
        return turn_back(at)
    if fell and slope >= flat and (at.arc or slope <= -flat):
        return ACCEPT
    # Hager and Zhang's test, where differences of the cost are rounding errors: the slopes tell
    # more
    if (fabs(value - at.start.value) <= noise * fabs(at.start.value) and flat <= slope <= -0.8
            * at.start.slope):
        return ACCEPT
    at.curved = at.curved or (fell and slope >= 0)
    ended = at.trials >= most_trials or (at.bracketed and (at.step <= at.least or at.step >= at.most
                                                           or at.most - at.least <= WIDTH
                                                           * at.most))
    if ended or (at.step >= at.farthest and fell):
        if value <= at.low.value:
            return ACCEPT if value < at.start.value else GIVE_UP
        return settle(at)
    if at.arc and not fell and at.low.step == 0:
        return shorten(at, value, slope, promised)
    # the line less its wanted decrease has a minimum
    if not at.arc and not at.curved and not fell and value <= at.low.value:
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
        at.least = at.step + 1.1 * (at.step - at.low.step)
        at.most = at.step + 4.0 * (at.step - at.low.step)
    at.step = fmax(0.0, fmin(at.step, at.farthest))
    if at.bracketed and (at.step <= at.least or at.step >= at.most or at.most - at.least <= WIDTH
                         * at.most):
        at.step = at.low.step
    if at.step >= at.limit:
        if at.limit - at.low.step <= WIDTH * at.limit:
            at.step = at.low.step
            return settle(at)
        at.step = 0.5 * (at.low.step + at.limit)
    return GO_ON


cdef void begin_search(Search *at, double value, double slope, double step,
                       bint arc) noexcept nogil:
    """Begin a line of that cost and slope at `step`."""
    at.start = at.low = at.other = Point(0, value, slope)
    at.step, at.least, at.most = step, 0, 5 * step
    at.limit, at.farthest = INFINITY, FARTHEST * step
    at.width, at.older_width = at.farthest, 2 * at.farthest
    at.bracketed = at.curved = at.settled = False
    at.arc, at.trials = arc, 0
