"""Dual coordinate descent: the slope of one row after the other is set to its best value while the
others are fixed.

    w = -sum_i s_i a_i x_i / strength
    a_i <- a with a = dL/dz at z_i - h (a - a_i),    h = s_i |x_i|^2 / strength

This is an implicit step along the row. With an intercept, its column adds `bias` to |x|^2. Sources:
Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008, also for
shrinking; Ho and Lin, "Large-scale linear support vector regression", JMLR 13 (2012).
"""
import numpy as np

from cython cimport floating
from libc.math cimport INFINITY, fabs

from .data_term cimport ROW_DISTANCE, Data, DataTerm, prefetch_row, weight_at
from .implicit_steps cimport implicit
from .losses cimport (EPSILON_INSENSITIVE, HINGE, PERCEPTRON, QUANTILE, SQUARED_EPSILON_INSENSITIVE,
                      SQUARED_HINGE, Objective, point, target)
from .rows cimport PREFETCH, Row, accumulate, check_order, margins, row_at, row_work
from .signals cimport Watch, watch_end, watch_start, watch_work

cdef struct DualSweep:
    Data data
    const double *squared_norm  # (n,): |x|^2
    double *z                   # (n, outputs): the margins at the row's last visit
    double *slope               # (n, outputs): the dual variables a
    double *conjugate           # (n, outputs): L*(a)
    double *change              # (outputs,): of the current row's slopes
    double strength, bias

cdef struct Met:                # weighted sums over the rows at the time of their visits
    double loss                 # L(z)
    double gap                  # L(z) + L*(a) - a z, before the step

cdef enum:
    LANES = 4                   # partial sums: a single one would wait for every addition


cdef inline double kink_distance(int loss, double delta, double z, double y) noexcept nogil:
    """The distance of z from the nearest kink of the loss or of its slope; 0 for losses without a
    kink, so that their rows are always kept.
    """
    if loss == HINGE or loss == SQUARED_HINGE:
        return fabs(1.0 - y * z)
    if loss == EPSILON_INSENSITIVE or loss == SQUARED_EPSILON_INSENSITIVE:
        return fabs(fabs(z - y) - delta)
    if loss == QUANTILE or loss == PERCEPTRON:
        return fabs(z - y) if loss == QUANTILE else fabs(z)
    return 0.0


cdef inline double visit(DualSweep *at, Py_ssize_t i, floating *theta, double *least,
                         Met *met) noexcept nogil:
    """Set row i's slopes; returns the largest kink distance of those that changed. `least` receives
    the smallest of the others, or 0 if a slope changed, `met` the row's sums.
    """
    cdef const Objective *objective = &at.data.objective
    cdef Py_ssize_t k, p = at.data.X.p, K = objective.outputs
    cdef double weight = weight_at(&at.data, i)
    cdef double scale = weight / at.strength, largest = 0, y, h, distance, loss, end
    cdef double *z = at.z + i * K
    cdef double *slope = at.slope + i * K
    cdef double *conjugate = at.conjugate + i * K
    cdef floating *b = theta + p * K
    cdef bint moved = False
    cdef Row row = row_at(at.data.X, i)
    least[0] = INFINITY
    met.loss = met.gap = 0
    margins(&row, theta, p, K, z)
    h = scale * (at.squared_norm[i] + at.bias)
    for k in range(K):
        z[k] += b[k]
        y = target(objective, at.data.y, i, k)
        loss = point(objective.loss, objective.delta, INFINITY, z[k], y).value
        met.loss += weight * loss
        met.gap += weight * (loss + conjugate[k] - slope[k] * z[k])
        at.change[k] = implicit(objective.loss, objective.delta, z[k] + h * slope[k], y,
                                h) - slope[k]
        distance = kink_distance(objective.loss, objective.delta, z[k], y)
        if at.change[k] != 0:
            moved = True
            largest = max(largest, distance)
            slope[k] += at.change[k]
            # The new slope is that at the end of the step, so L(end) + L*(slope) = slope end.
            end = z[k] - h * at.change[k]
            conjugate[k] = (slope[k] * end
                            - point(objective.loss, objective.delta, INFINITY, end, y).value)
            b[k] -= <floating> (scale * at.bias * at.change[k])
        else:
            least[0] = min(least[0], distance)
    if moved:
        least[0] = 0
        accumulate(&row, -scale, at.change, theta, p, K)
    return largest


def sweep(DataTerm term not None, Py_ssize_t[::1] order not None, of_rows,
          floating[::1] theta not None, double strength, double bias, double margin):
    """Visit the rows in `order` once; returns (the largest kink distance of a slope that changed,
    the number of rows kept, the sum of the weighted losses met, that of the rows not kept, the sum
    of weight * (L(z) + L*(a) - a z) before each step, which estimates the duality gap).

    The rows kept are those of which a slope changed or is within `margin` of a kink. They are moved
    to the front of `order`. `of_rows` is (squared_norm, z, slope, conjugate): |x|^2 of each row of
    X and, `outputs` numbers each, the margins of the last visit, the slopes of which theta is made
    and their conjugate losses.
    """
    cdef const double[::1] squared_norm = of_rows[0]
    cdef double[::1] z = of_rows[1], slope = of_rows[2], conjugate = of_rows[3]
    cdef Py_ssize_t visits = order.shape[0], K = term.data.objective.outputs, N = term.data.X.n
    cdef Py_ssize_t v, i, kept = 0
    cdef double[::1] change = np.empty(K)
    cdef double largest = 0, least, losses = 0, left = 0, gap = 0
    cdef Met met
    cdef double work = row_work(term.data.X) * K + 1
    cdef Watch watch
    cdef DualSweep at
    term.check(sizeof(floating), theta.shape[0])
    check_order(order, N)
    if squared_norm.shape[0] != N or not (
            z.shape[0] == slope.shape[0] == conjugate.shape[0] == N * K):
        raise ValueError("squared_norm, z, slope or conjugate do not fit the rows")
    if not (strength > 0 and bias >= 0):
        raise ValueError("strength must be > 0 and bias >= 0, got "
                         f"strength={strength}, bias={bias}")
    if visits == 0:
        return 0.0, 0, 0.0, 0.0, 0.0
    at.data, at.squared_norm = term.data, &squared_norm[0]
    at.z = &z[0]
    at.slope = &slope[0]
    at.conjugate = &conjugate[0]
    at.change = &change[0]
    at.strength = strength
    at.bias = bias
    watch_start(&watch)
    with nogil:
        for v in range(visits):
            if watch_work(&watch, <long long> work):
                break
            prefetch_row(&at.data, &order[0], v, visits)
            if v + ROW_DISTANCE < visits:
                i = order[v + ROW_DISTANCE]
                PREFETCH(at.squared_norm + i)
                PREFETCH(at.z + i * K)
                PREFETCH(at.slope + i * K)
                PREFETCH(at.conjugate + i * K)
            i = order[v]
            largest = max(largest, visit(&at, i, &theta[0], &least, &met))
            losses += met.loss
            gap += met.gap
            if least <= margin:
                order[v] = order[kept]
                order[kept] = i
                kept += 1
            else:
                left += met.loss
    watch_end(&watch)
    return largest, kept, losses, left, gap


cdef inline void add_squares(const floating *w, const floating *before, double shift,
                             const double *center, const double *inverse, Py_ssize_t p,
                             Py_ssize_t stride, double *squares, double *changes) noexcept nogil:
    """Add to the partial sums of `progress` those of one output."""
    cdef Py_ssize_t j, t, block, at
    cdef double d
    for block in range(p // LANES):
        for t in range(LANES):
            j = block * LANES + t
            at = j * stride
            d = (<double> w[at] - before[at] - shift * center[j]) * inverse[j]
            squares[t] += <double> w[at] * w[at]
            changes[t] += d * d
    for j in range(p - p % LANES, p):
        at = j * stride
        d = (<double> w[at] - before[at] - shift * center[j]) * inverse[j]
        squares[0] += <double> w[at] * w[at]
        changes[0] += d * d


def progress(const floating[::1] theta not None, const floating[::1] before not None,
             const double[::1] center not None, const double[::1] inverse not None,
             Py_ssize_t outputs, bint by_column):
    """(|W|^2, the squared length of theta - `before` as a gradient in scaled columns)

    A gradient (G, g) of (W, b) is (inverse (G - g center'), g) there.
    """
    cdef Py_ssize_t p = center.shape[0], k, t
    cdef double[LANES] squares, changes
    cdef double shift, total = 0
    if not (inverse.shape[0] == p and outputs > 0
            and theta.shape[0] == before.shape[0] == outputs * (p + 1)):
        raise ValueError("theta, before, center and inverse do not fit")
    for t in range(LANES):
        squares[t] = changes[t] = 0
    with nogil:
        for k in range(outputs):
            shift = <double> theta[outputs * p + k] - before[outputs * p + k]
            total += shift * shift
            if p == 0:
                continue
            if by_column and outputs > 1:
                add_squares(&theta[k], &before[k], shift, &center[0], &inverse[0], p, outputs,
                            squares, changes)
            else:  # a constant stride makes a faster loop
                add_squares(&theta[k * p], &before[k * p], shift, &center[0], &inverse[0], p, 1,
                            squares, changes)
        for t in range(1, LANES):
            squares[0] += squares[t]
            changes[0] += changes[t]
    return squares[0], total + changes[0]
