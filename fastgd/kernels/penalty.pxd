"""The penalty l1 |w|_1 + (l2 / 2) |w|^2: its prox, and the lazy form that lets a sparse row's step touch only its own columns."""
from cython cimport floating
from libc.math cimport fabs


cdef inline floating soft(floating a, floating threshold) noexcept nogil:
    """sign(a) max(|a| - threshold, 0), without branches: a minus its clip to [-threshold, threshold]."""
    cdef floating inside = threshold if a > threshold else a
    inside = -threshold if inside < -threshold else inside
    return a - inside


cdef inline double decay(double rate, double l2) noexcept nogil:
    """The factor 1 - rate l2 of a step; 0 where the step would turn the sign of the weights (as scikit-learn's)."""
    return 1.0 - rate * l2 if rate * l2 < 1.0 else 0.0


cdef inline double squared_sum(const floating *w, Py_ssize_t n) noexcept nogil:
    """|w|^2"""
    return 2 * penalty(w, n, 0.0, 1.0)


cdef inline double penalty(const floating *w, Py_ssize_t n, double l1, double l2) noexcept nogil:
    """l1 |w|_1 + (l2 / 2) |w|^2"""
    cdef double s0 = 0, s1 = 0, a0 = 0, a1 = 0
    cdef Py_ssize_t j = 0
    if l1 == 0 and l2 == 0:
        return 0
    while j + 2 <= n:
        s0 += <double> w[j] * w[j]
        s1 += <double> w[j + 1] * w[j + 1]
        a0 += fabs(w[j])
        a1 += fabs(w[j + 1])
        j += 2
    if j < n:
        s0 += <double> w[j] * w[j]
        a0 += fabs(w[j])
    return 0.5 * l2 * (s0 + s1) + l1 * (a0 + a1)


# A step shrinks every weight, but a sparse row should cost only its own columns. Hold w = scale * stored: the L2 factor of
# a step goes into `scale` alone. Successive soft thresholds of a weight that is not otherwise touched add up, so the L1 part of
# a step is one more entry of the running sum `shrunk` (in units of `stored`); a column pays what has come since `last` when it
# is next visited. The running mean's share is a difference of running sums too. See docs/lazy.md.
cdef struct Lazy:
    double scale
    Py_ssize_t now, capacity    # steps since all columns were up to date, and how many the sums below can hold
    Py_ssize_t *last            # (p,) step at which a column was last up to date; NULL: scale alone is enough
    double *shrunk              # (capacity + 1,) sum of thresholds / scale
    double *mass                # (capacity + 1,) sum of scale over the averaged steps
    double *moment              # (capacity + 1,) sum of scale * shrunk over them


cdef inline void catch_up(const Lazy *lazy, floating *stored, double *average, Py_ssize_t j, Py_ssize_t outputs) noexcept nogil:
    """Bring column j of stored and average (each (p, outputs)) up to date."""
    cdef Py_ssize_t k, low, high, middle, then = lazy.last[j], now = lazy.now
    cdef double before, after, v, size
    if then == now:
        return
    lazy.last[j] = now
    before, after = lazy.shrunk[then], lazy.shrunk[now]
    for k in range(j * outputs, (j + 1) * outputs):
        v = stored[k]
        if v == 0:
            continue
        size = fabs(v) - (after - before)
        stored[k] = <floating> (0.0 if size < 0 else size if v > 0 else -size)  # NaN stays NaN
        if average != NULL:
            high = now
            if size < 0:  # it reached zero on the way: find the last step at which it had not
                low = then
                while high - low > 1:
                    middle = (low + high) // 2
                    if lazy.shrunk[middle] - before < fabs(v):
                        low = middle
                    else:
                        high = middle
                high = low
            size = (fabs(v) + before) * (lazy.mass[high] - lazy.mass[then]) - (lazy.moment[high] - lazy.moment[then])
            average[k] += size if v > 0 else -size


cdef inline void settle(Lazy *lazy, floating *stored, double *average, Py_ssize_t p, Py_ssize_t outputs) noexcept nogil:
    """Bring every column up to date and make stored the weights themselves."""
    cdef Py_ssize_t j
    if lazy.last != NULL:
        for j in range(p):
            catch_up(lazy, stored, average, j, outputs)
            lazy.last[j] = 0
        lazy.now = 0
        lazy.shrunk[0] = lazy.mass[0] = lazy.moment[0] = 0
    if lazy.scale != 1:
        for j in range(p * outputs):
            stored[j] *= <floating> lazy.scale
        lazy.scale = 1


cdef inline void pass_step(Lazy *lazy, double threshold, bint averaged) noexcept nogil:
    """Record a step that shrinks every weight by `threshold`, after its factor went into scale and its rows were added."""
    cdef Py_ssize_t now = lazy.now
    if lazy.last == NULL:
        return
    lazy.shrunk[now + 1] = lazy.shrunk[now] + threshold / lazy.scale
    lazy.mass[now + 1] = lazy.mass[now] + (lazy.scale if averaged else 0.0)
    lazy.moment[now + 1] = lazy.moment[now] + (lazy.scale * lazy.shrunk[now + 1] if averaged else 0.0)
    lazy.now = now + 1
