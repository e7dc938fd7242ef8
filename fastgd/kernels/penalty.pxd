"""The penalty l1 |w|_1 + (l2 / 2) |w|^2: its prox, and the lazy form that lets a sparse row's step
touch only its own columns.

Weights that have to be >= 0 go to max(w, 0) after the prox of the rest, which is the prox of both.
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
    """The factor 1 - rate l2 of a step; 0 where the step would turn the sign of the weights (as
    scikit-learn's).
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


# A step shrinks every weight, but a sparse row should cost only its own columns. Hold w = scale *
# stored: the L2 factor of a step goes into `scale` alone. Successive soft thresholds of a weight
# that is not otherwise touched add up, so the L1 part of a step is one more term of the running sum
# `shrunk` (in units of `stored`), and what a column owes is the difference to its last visit. The
# sum of the iterates is `mass` times stored, but for what stored grew by later: that times the mass
# before is taken off where it grows. With both an L1 part and averaging a column must know when it
# reached zero: then the sums of all steps are kept. See docs/lazy.md. A weight that has to be >= 0
# can fall below only where rows are added, and is put back there: what its column owes later keeps
# it where it has to be.
cdef struct Lazy:
    double scale
    double least                # scale, until all is settled
    double shrunk               # sum of thresholds / scale over the steps
    double mass                 # sum of scale over the averaged steps
    # (p,) shrunk at a column's last visit; NULL: there is no L1 part, or:
    double *paid
    Py_ssize_t *last            # (p,) with L1 and averaging: the step of a column's last visit
    Py_ssize_t now, capacity    # steps in the history, and how many it can hold
    # (capacity + 1, 3): shrunk, mass, and the sum of scale * shrunk over the averaged steps
    double *history


cdef inline double spent(const Lazy *lazy, Py_ssize_t then, double size) noexcept nogil:
    """Sum of scale * max(size - what was shrunk since `then`, 0) over the averaged steps since: an
    untouched weight's iterates.
    """
    cdef Py_ssize_t low = then, high = lazy.now, middle
    cdef double before = lazy.history[3 * then]
    # it reached zero on the way: find the last step at which it had not
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
    """Whether the average is mass * stored, less what stored grows by from now on."""
    return lazy.mass > 0 and lazy.last == NULL


cdef inline void change(const Lazy *lazy, floating *stored, double *average,
                        floating value) noexcept nogil:
    """Set one weight, and have its share of the average made of steps to come alone."""
    if takes_off(lazy):
        average[0] -= lazy.mass * (<double> value - stored[0])
    stored[0] = value


cdef inline bint is_late(const Lazy *lazy) noexcept nogil:
    """Whether columns have anything to catch up with."""
    return lazy.paid != NULL or lazy.last != NULL


cdef inline void settle(Lazy *lazy, floating *stored, double *average, Py_ssize_t p,
                        Py_ssize_t outputs) noexcept nogil:
    """Bring every column up to date and make stored the weights themselves."""
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
