"""Coordinate descent on a quadratic model with an L1 part, of which the matrix is at hand."""
from libc.math cimport fabs


cdef inline double shrunk(double a, double by) noexcept nogil:
    """The minimiser of (w - a)^2 / 2 + by |w|."""
    return a - by if a > by else (a + by if a < -by else 0.0)


cdef double sweep(const double *H, Py_ssize_t p, double *w, double *g, const double *l1, bint nonzeros) noexcept nogil:
    """w_j <- argmin of the model in w_j, one after the other; returns the largest |H_jj * change of w_j|."""
    cdef Py_ssize_t j, k
    cdef double curvature, new, change, largest = 0
    cdef const double *row
    for j in range(p):
        row = H + j * p
        curvature = row[j]
        if curvature <= 0 or (nonzeros and w[j] == 0):
            continue
        if w[j] == 0 and fabs(g[j]) <= l1[j]:
            continue
        new = shrunk(w[j] - g[j] / curvature, l1[j] / curvature)
        change = new - w[j]
        if change == 0:
            continue
        w[j] = new
        for k in range(p):
            g[k] += change * row[k]
        largest = max(largest, fabs(change) * curvature)
    return largest


def descend(const double[:, ::1] H not None, double[::1] w not None, double[::1] g not None, const double[::1] l1 not None,
            double enough, Py_ssize_t sweeps):
    """Lower g'd + d'Hd / 2 + sum_j l1_j |w_j| over w = (w at first) + d, at most `sweeps` sweeps.

    g is the model's gradient at w and stays so. Sweeps over the coordinates that are not 0 follow each over all of them, until no
    slope was larger than `enough`.
    """
    cdef Py_ssize_t p = H.shape[0], done = 0
    if H.shape[1] != p or w.shape[0] != p or g.shape[0] != p or l1.shape[0] != p:
        raise ValueError("H, w, g and l1 do not fit one another")
    if p == 0:
        return
    with nogil:
        while done < sweeps:
            done += 1
            if sweep(&H[0, 0], p, &w[0], &g[0], &l1[0], False) <= enough:
                break
            while done < sweeps:
                done += 1
                if sweep(&H[0, 0], p, &w[0], &g[0], &l1[0], True) <= enough:
                    break
