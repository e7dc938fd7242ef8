"""Dual coordinate descent: one row's slope after the other is set to the best that it can be while
the others stay.

    w = -sum_i s_i a_i x_i / strength
    a_i <- a with a = dL/dz at z_i - h (a - a_i),    h = s_i |x_i|^2 / strength

which is an implicit step along the row. With an intercept, its column counts for `bias` in |x|^2.
Sources: Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008, and
its shrinking; Ho and Lin, "Large-scale linear support vector regression", JMLR 13 (2012).
"""
import numpy as np

from cython cimport floating
from libc.math cimport INFINITY, fabs

from .data_term cimport AHEAD, Data, DataTerm, look_ahead, weight_at
from .losses cimport (EPSILON_INSENSITIVE, HINGE, PERCEPTRON, QUANTILE, SQUARED_EPSILON_INSENSITIVE,
                      SQUARED_HINGE, Objective, implicit, target)
from .rows cimport PREFETCH, Row, accumulate, check_order, margins, row_at, row_work
from .signals cimport Watch, watch_end, watch_start, watch_work

cdef struct Run:
    Data data
    const double *length        # (n,): |x|^2
    double *z                   # (n, outputs): margins when the row was last met
    double *slope               # (n, outputs)
    double *change              # (outputs,)
    double strength, bias


cdef inline double clearance(int loss, double delta, double z, double y) noexcept nogil:
    """How far z is from the nearest kink of the loss, or of its slope; 0 where there is none, for
    such slopes never rest.
    """
    if loss == HINGE or loss == SQUARED_HINGE:
        return fabs(1.0 - y * z)
    if loss == EPSILON_INSENSITIVE or loss == SQUARED_EPSILON_INSENSITIVE:
        return fabs(fabs(z - y) - delta)
    if loss == QUANTILE or loss == PERCEPTRON:
        return fabs(z - y) if loss == QUANTILE else fabs(z)
    return 0.0


cdef inline double visit(Run *run, Py_ssize_t i, floating *theta, double *least) noexcept nogil:
    """Set row i's slopes; returns the largest clearance of those that changed, `least` takes the
    least of the others.
    """
    cdef const Objective *objective = &run.data.objective
    cdef Py_ssize_t k, p = run.data.X.p, K = objective.outputs
    cdef double weight = weight_at(&run.data, i)
    cdef double part = weight / run.strength, largest = 0, y, h, far
    cdef double *z = run.z + i * K
    cdef double *slope = run.slope + i * K
    cdef floating *b = theta + p * K
    cdef bint moved = False
    cdef Row row = row_at(run.data.X, i)
    least[0] = INFINITY
    margins(&row, theta, p, K, z)
    h = part * (run.length[i] + run.bias)
    for k in range(K):
        z[k] += b[k]
        y = target(objective, run.data.y, i, k)
        run.change[k] = implicit(objective.loss, objective.delta, z[k] + h * slope[k], y,
                                 h) - slope[k]
        far = clearance(objective.loss, objective.delta, z[k], y)
        if run.change[k] != 0:
            moved = True
            largest = max(largest, far)
            slope[k] += run.change[k]
            b[k] -= <floating> (part * run.bias * run.change[k])
        else:
            least[0] = min(least[0], far)
    if moved:
        least[0] = 0
        accumulate(&row, -part, run.change, theta, p, K)
    return largest


def sweep(DataTerm term not None, Py_ssize_t[::1] order not None,
          const double[::1] length not None, floating[::1] theta not None, double[::1] z not None,
          double[::1] slope not None, double strength, double bias, double rest):
    """Visit the rows in `order` once; returns (the largest clearance of a slope that changed,
    number of rows kept).

    The rows kept come first in `order` afterwards: those of which a slope changed, or lies within
    `rest` of a kink. `length` holds |x|^2, `slope` and `z` `outputs` numbers a row of X: the slopes
    that theta is made of, and the margins met.
    """
    cdef Py_ssize_t visits = order.shape[0], K = term.data.objective.outputs, N = term.data.X.n
    cdef Py_ssize_t v, i, kept = 0
    cdef double[::1] change = np.empty(K)
    cdef double largest = 0, least, work = row_work(term.data.X) * K + 1
    cdef Watch watch
    cdef Run run
    term.check(sizeof(floating), theta.shape[0])
    check_order(order, N)
    if length.shape[0] != N or z.shape[0] != N * K or slope.shape[0] != N * K:
        raise ValueError("length, z or slope do not fit the rows")
    if not (strength > 0 and bias >= 0):
        raise ValueError(f"strength must be above 0, and bias not below, got {strength} and {bias}")
    if visits == 0:
        return 0.0, 0
    run.data, run.length = term.data, &length[0]
    run.z = &z[0]
    run.slope = &slope[0]
    run.change = &change[0]
    run.strength = strength
    run.bias = bias
    watch_start(&watch)
    with nogil:
        for v in range(visits):
            if watch_work(&watch, <long long> work):
                break
            look_ahead(&run.data, &order[0], v, visits)
            if v + AHEAD < visits:
                i = order[v + AHEAD]
                PREFETCH(run.length + i)
                PREFETCH(run.z + i * K)
                PREFETCH(run.slope + i * K)
            i = order[v]
            largest = max(largest, visit(&run, i, &theta[0], &least))
            if least <= rest:
                order[v] = order[kept]
                order[kept] = i
                kept += 1
    watch_end(&watch)
    return largest, kept
