"""The line search of More and Thuente (ACM TOMS 1994), as MINPACK-2 has it: one step at a time.

Arcs, the projections of lines on bounds and orthants, need to satisfy the weak Wolfe conditions
only. A trial outside the domain of the cost, where the value is infinite, limits the step.
"""
from libc.math cimport INFINITY, fabs, fmax, fmin, sqrt

cdef enum:
    MAX_TRIALS = 20             # of a line, as in L-BFGS-B
    MAX_ARC_TRIALS = 30         # of an arc, along which steps are shortened more slowly

# The constants of L-BFGS-B: sufficient decrease, curvature condition, and the relative width of an
# interval at which the search ends
cdef double DECREASE = 1e-3, CURVATURE = 0.9, MIN_WIDTH = 0.1
cdef double ARC_DECREASE = 1e-4     # sufficient decrease along an arc
cdef double LONGEST = 1e10      # the longest step, relative to the first


cdef inline double cubic(const LinePoint *a, const LinePoint *b, double *gamma) noexcept nogil:
    """The distance from a, in units of b - a, of the minimum of the cubic through both points."""
    cdef double theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    cdef double size = fmax(fabs(theta), fmax(fabs(a.slope), fabs(b.slope)))
    gamma[0] = size * sqrt(fmax(0.0, (theta / size) * (theta / size) - (a.slope / size)
                                * (b.slope / size)))
    gamma[0] = gamma[0] if b.step > a.step else -gamma[0]
    return ((gamma[0] - a.slope) + theta) / (((gamma[0] - a.slope) + gamma[0]) + b.slope)


cdef double next_step(Search *at, const LinePoint *now) noexcept nogil:
    """The trial after `now`: a minimum of a cubic or of a parabola. `now` may complete the bracket.
    """
    cdef double c, q, gamma, step = now.step, low = at.low.step, trial
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
        c = step + c * (low - step) if c < 0 and gamma != 0 else (at.max_step if step > low
                                                                  else at.min_step)
        q = step + now.slope / (now.slope - at.low.slope) * (low - step)
        if at.bracketed:
            trial = c if fabs(c - step) < fabs(q - step) else q
            q = step + 0.66 * (at.high.step - step)
            return fmin(q, trial) if step > low else fmax(q, trial)
        trial = c if fabs(c - step) > fabs(q - step) else q
        return fmax(fmin(trial, at.max_step), at.min_step)
    if at.bracketed:
        return step + cubic(now, &at.high, &gamma) * (at.high.step - step)
    return at.max_step if step > low else at.min_step


cdef void narrow(Search *at, LinePoint now) noexcept nogil:
    """Shrink the interval with the trial `now`, and choose the next step."""
    cdef double step = next_step(at, &now)
    if now.value > at.low.value:
        at.high = now
    else:
        if now.slope * at.low.slope < 0:
            at.high = at.low
        at.low = now
    at.step = step


cdef inline void subtract_slope(LinePoint *at, double slope) noexcept nogil:
    """Subtract a linear function of the step."""
    at.value -= at.step * slope
    at.slope -= slope


cdef Verdict end_search(Search *at) noexcept nogil:
    """End the search at its best trial, which is evaluated again unless it is the last one."""
    if not at.low.value < at.start.value:
        return GIVE_UP
    if at.step == at.low.step:
        return ACCEPT
    at.step, at.final = at.low.step, True
    return GO_ON


cdef Verdict leave_domain(Search *at) noexcept nogil:
    """The trial is outside the domain: choose a shorter step, and none as long from now on."""
    at.outside = True
    if at.step > at.low.step:
        at.domain_end = at.step
    if at.trials >= MAX_TRIALS or at.domain_end - at.low.step <= MIN_WIDTH * at.low.step:
        return end_search(at)
    at.step = at.low.step + 0.1 * (at.step - at.low.step)
    return GO_ON


cdef Verdict shorten(Search *at, double value, double slope, double predicted) noexcept nogil:
    """Choose a shorter step along an arc on which no trial has been good: the minimum of the
    parabola.
    """
    cdef double ratio = 0.1
    if predicted < 0:
        ratio = -0.5 * predicted / (value - at.start.value - predicted)
    at.high, at.bracketed = LinePoint(at.step, value, slope), True
    at.width = at.older_width = at.max_step = at.step
    at.min_step = 0
    at.step *= 0.1 if not ratio > 0.1 else (0.5 if ratio > 0.5 else ratio)
    return GO_ON


cdef inline bint is_narrow(const Search *at) noexcept nogil:
    """Whether the bracket is too small for another trial inside."""
    return at.bracketed and (at.step <= at.min_step or at.step >= at.max_step
                             or at.max_step - at.min_step <= MIN_WIDTH * at.max_step)


cdef Verdict check_step(Search *at, double value, double slope, double predicted,
                        double noise) noexcept nogil:
    """Decide by value and slope at `step`: accept it, give up, or evaluate the cost at the new
    `step`.

    `predicted` is the change of the cost by the slopes at the start. An infinite value is outside
    the domain.
    """
    cdef int max_trials = MAX_ARC_TRIALS if at.arc else MAX_TRIALS
    cdef double decrease_slope = DECREASE * at.start.slope, flat = CURVATURE * at.start.slope
    cdef double decrease = (ARC_DECREASE if at.arc else DECREASE) * predicted
    cdef bint fell = predicted < 0 and value <= at.start.value + decrease, ended
    at.trials += 1
    if at.final:
        return ACCEPT if value < at.start.value else GIVE_UP
    if value == INFINITY:
        return leave_domain(at)
    if fell and slope >= flat and (at.arc or slope <= -flat):
        return ACCEPT
    # Hager and Zhang's test, where differences of the cost are rounding errors: it uses the slopes
    if (fabs(value - at.start.value) <= noise * fabs(at.start.value) and flat <= slope <= -0.8
            * at.start.slope):
        return ACCEPT
    at.second_stage = at.second_stage or (fell and slope >= 0)
    ended = at.trials >= max_trials or is_narrow(at)
    if ended or (at.step >= at.longest and fell):
        if value <= at.low.value:
            return ACCEPT if value < at.start.value else GIVE_UP
        return end_search(at)
    if at.arc and not fell and at.low.step == 0:
        return shorten(at, value, slope, predicted)
    # the first stage: the cost minus the sufficient decrease has a minimum
    if not at.arc and not at.second_stage and not fell and value <= at.low.value:
        subtract_slope(&at.low, decrease_slope)
        subtract_slope(&at.high, decrease_slope)
        narrow(at, LinePoint(at.step, value - at.step * decrease_slope, slope - decrease_slope))
        subtract_slope(&at.low, -decrease_slope)
        subtract_slope(&at.high, -decrease_slope)
    else:
        narrow(at, LinePoint(at.step, value, slope))
    if at.bracketed:
        if fabs(at.high.step - at.low.step) >= 0.66 * at.older_width:
            at.step = at.low.step + 0.5 * (at.high.step - at.low.step)
        at.older_width, at.width = at.width, fabs(at.high.step - at.low.step)
        at.min_step, at.max_step = fmin(at.low.step, at.high.step), fmax(at.low.step, at.high.step)
    else:
        at.min_step = at.step + 1.1 * (at.step - at.low.step)
        at.max_step = at.step + 4.0 * (at.step - at.low.step)
    at.step = fmax(0.0, fmin(at.step, at.longest))
    if is_narrow(at):
        at.step = at.low.step
    if at.step >= at.domain_end:
        if at.domain_end - at.low.step <= MIN_WIDTH * at.domain_end:
            at.step = at.low.step
            return end_search(at)
        at.step = 0.5 * (at.low.step + at.domain_end)
    return GO_ON


cdef void begin_search(Search *at, double value, double slope, double step,
                       bint arc) noexcept nogil:
    """Begin a line with this cost and slope at its start. `step` is the first trial."""
    at.start = at.low = at.high = LinePoint(0, value, slope)
    at.step, at.min_step, at.max_step = step, 0, 5 * step
    at.domain_end, at.longest = INFINITY, LONGEST * step
    at.width, at.older_width = at.longest, 2 * at.longest
    at.bracketed = at.second_stage = at.final = False
    at.arc, at.trials = arc, 0
