"""The penalty l1 |w|_1 + (l2 / 2) |w|^2: its prox, and lazy updates, by which the step of a sparse
row changes only its own columns.

For weights that have to be >= 0, max(w, 0) after the prox of the penalty is the prox of both.
"""
from cython cimport floating
from libc.math cimport fabs

from .rows cimport lanes_dot


cdef inline floating soft(floating a, floating threshold) noexcept nogil:
    """sign(a) max(|a| - threshold, 0), without branches: a minus its clip to [-threshold,
    threshold].
    """
    cdef floating inside = threshold if a > threshold else a
    inside = -threshold if inside < -threshold else inside
    return a - inside


cdef inline void keep_positive(floating *w, Py_ssize_t n) noexcept nogil:
    """w <- max(w, 0); NaN stays."""
    cdef Py_ssize_t j
    for j in range(n):
        w[j] = 0 if w[j] < 0 else w[j]


cdef inline double decay(double rate, double l2) noexcept nogil:
    """The factor 1 - rate l2 of a step; 0 if the step would change the sign of the weights (as in
    scikit-learn).
    """
    return 1.0 - rate * l2 if rate * l2 < 1.0 else 0.0


cdef inline double squared_sum(const floating *w, Py_ssize_t n) noexcept nogil:
    """|w|^2"""
    return lanes_dot(w, w, n)


cdef inline double penalty(const floating *w, Py_ssize_t n, Py_ssize_t outputs, double l1,
                           double l2, double tilt) noexcept nogil:
    """l1 |w|_1 + (l2 / 2) |w|^2 + tilt sum b of n weights w and the intercepts b that follow them.
    """
    cdef double s0 = 0, s1 = 0, b = 0
    cdef Py_ssize_t j
    for j in range(0, n - 1 if l1 > 0 else 0, 2):
        s0 += fabs(w[j])
        s1 += fabs(w[j + 1])
    if l1 > 0 and n % 2:
        s0 += fabs(w[n - 1])
    for j in range(n, n + outputs if tilt != 0 else n):
        b += w[j]
    return l1 * (s0 + s1) + (0.5 * l2 * squared_sum(w, n) if l2 > 0 else 0.0) + tilt * b


# Lazy updates. A step shrinks every weight, but should cost only the columns of its rows.
# - W = scale * stored: the L2 factor of a step multiplies `scale` alone.
# - Successive soft thresholds of a weight add up, so the L1 part of a step is a term of the running
#   sum `shrunk`, in units of `stored`. A column owes the difference to its last visit.
# - The sum of the iterates is mass * stored, minus what `stored` has grown by since, times the mass
#   before: that is subtracted where it grows.
# - With both L1 and averaging, a column has to find the step at which it reached zero. Then the
#   sums of all steps are kept, in `history`.
# - A weight that has to be >= 0 can become negative only where rows are added, and is set to 0
#   there. The thresholds that its column owes keep it there.
# See docs/lazy.md.
cdef struct Lazy:
    double scale
    double least                # all columns are settled before `scale` falls below this
    double shrunk               # sum of thresholds / scale over the steps
    double mass                 # sum of scale over the averaged steps
    # (p,) `shrunk` at a column's last visit; NULL without L1, and if `last` is used
    double *paid
    Py_ssize_t *last            # (p,) with L1 and averaging: the step of a column's last visit
    Py_ssize_t now, capacity    # steps in the history, and how many it can hold
    # (capacity + 1, 3): shrunk, mass, and the sum of scale * shrunk over the averaged steps
    double *history


cdef inline double spent(const Lazy *lazy, Py_ssize_t then, double size) noexcept nogil:
    """The sum of the iterates of an unvisited weight of this size: of scale * max(size - thresholds
    since step `then`, 0) over the averaged steps since.
    """
    cdef Py_ssize_t low = then, high = lazy.now, middle
    cdef double before = lazy.history[3 * then]
    # If it has reached zero since, find the last step at which it was not zero.
    if lazy.shrunk - before > size:
        while high - low > 1:
            middle = (low + high) // 2
            if lazy.history[3 * middle] - before < size:
                low = middle
            else:
                high = middle
        high = low
    return ((size + before) * (lazy.history[3 * high + 1] - lazy.history[3 * then + 1])
            - (lazy.history[3 * high + 2] - lazy.history[3 * then + 2]))


cdef inline void catch_up(const Lazy *lazy, floating *stored, double *average, Py_ssize_t j,
                          Py_ssize_t outputs) noexcept nogil:
    """Bring column j of stored and average (each (p, outputs)) up to date."""
    cdef Py_ssize_t k, then
    cdef double owed
    if lazy.last != NULL:
        then = lazy.last[j]
        if then == lazy.now:
            return
        lazy.last[j] = lazy.now
        for k in range(j * outputs, (j + 1) * outputs):
            if stored[k] != 0:
                owed = spent(lazy, then, fabs(stored[k]))
                average[k] += owed if stored[k] > 0 else -owed
                stored[k] = soft(stored[k], <floating> (lazy.shrunk - lazy.history[3 * then]))
    else:
        owed = lazy.shrunk - lazy.paid[j]
        lazy.paid[j] = lazy.shrunk
        for k in range(j * outputs, (j + 1) * outputs):
            stored[k] = soft(stored[k], <floating> owed)


cdef inline bint takes_off(const Lazy *lazy) noexcept nogil:
    """Whether the average is mass * stored, minus corrections for later changes of stored."""
    return lazy.mass > 0 and lazy.last == NULL


cdef inline void change(const Lazy *lazy, floating *stored, double *average,
                        floating value) noexcept nogil:
    """Set one weight, and correct its part of the average for the steps before."""
    if takes_off(lazy):
        average[0] -= lazy.mass * (<double> value - stored[0])
    stored[0] = value


cdef inline bint is_late(const Lazy *lazy) noexcept nogil:
    """Whether columns may owe thresholds, so that a visit has to bring them up to date."""
    return lazy.paid != NULL or lazy.last != NULL


cdef inline void settle(Lazy *lazy, floating *stored, double *average, Py_ssize_t p,
                        Py_ssize_t outputs) noexcept nogil:
    """Bring every column up to date, so that stored are the weights themselves."""
    cdef Py_ssize_t j
    for j in range(p if is_late(lazy) else 0):
        catch_up(lazy, stored, average, j, outputs)
        if lazy.last != NULL:
            lazy.last[j] = 0
        else:
            lazy.paid[j] = 0
    for j in range(p * outputs if takes_off(lazy) else 0):
        average[j] += lazy.mass * stored[j]
    lazy.now, lazy.shrunk, lazy.mass = 0, 0, 0
    if lazy.last != NULL:
        lazy.history[0] = lazy.history[1] = lazy.history[2] = 0
    if lazy.scale != 1:
        for j in range(p * outputs):
            stored[j] *= <floating> lazy.scale
        lazy.scale = 1


cdef inline void pass_step(Lazy *lazy, double threshold, bint averaged) noexcept nogil:
    """Record a step that shrinks every weight by `threshold`, after its factor went into scale and
    its rows were added.
    """
    cdef double *at
    lazy.shrunk += threshold / lazy.scale
    if averaged:
        lazy.mass += lazy.scale
    if lazy.last != NULL:
        at = lazy.history + 3 * lazy.now
        at[3], at[4], at[5] = lazy.shrunk, lazy.mass, at[2] + (lazy.scale * lazy.shrunk if averaged
                                                               else 0.0)
        lazy.now += 1
