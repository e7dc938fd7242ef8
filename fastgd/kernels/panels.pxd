"""Panels of 8 columns: the layout in which gram_tile.h takes the rows of a tile."""
from cython cimport floating

cdef extern from "gram_tile.h" nogil:
    # The lower triangle of G (q, q) += A' A for `rows` rows in panels with room for `apart` rows.
    void gram_tile(const double *panels, Py_ssize_t apart, Py_ssize_t rows, Py_ssize_t q,
                   double *G)

cdef enum:
    PANEL = 8                   # columns that lie together
    NARROW_ROWS = 64            # of a tile
    MAX_NARROW = 1024           # columns; with more, BLAS is the faster one
    FEWEST_PARTS = 4            # partial sums, which threads share
    MOST_PARTS = 16
    PART_ROWS = 4               # rows for each column that are worth a further partial sum


cdef inline Py_ssize_t whole_panels(Py_ssize_t columns) noexcept nogil:
    """The number of columns with those that fill the last panel."""
    return (columns + PANEL - 1) // PANEL * PANEL


cdef inline Py_ssize_t partial_sums(Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """The number of partial sums over rows, which depends on nothing else."""
    return max(FEWEST_PARTS, min(rows // (PART_ROWS * columns), MOST_PARTS))


cdef inline double *in_panels(double *tile, Py_ssize_t apart, Py_ssize_t column) noexcept nogil:
    """The place of a column; `tile` is that of column 0."""
    return tile + column // PANEL * apart * PANEL + column % PANEL


cdef inline void load_panels(const floating *restrict x, Py_ssize_t p,
                             const double *restrict center, const double *restrict inverse,
                             double root, Py_ssize_t apart, double *restrict tile) noexcept nogil:
    """root (x - center) inverse of a dense row, in panels; inverse NULL: ones. `tile` is the place
    of the row in the first panel.
    """
    cdef Py_ssize_t whole = p // PANEL, j, k
    for j in range(whole):
        for k in range(PANEL):
            if inverse == NULL:
                tile[j * apart * PANEL + k] = root * (x[j * PANEL + k] - center[j * PANEL + k])
            else:
                tile[j * apart * PANEL + k] = root * ((x[j * PANEL + k] - center[j * PANEL + k])
                                                      * inverse[j * PANEL + k])
    for j in range(whole * PANEL, p):
        in_panels(tile, apart, j)[0] = root * ((x[j] - center[j])
                                               * (1.0 if inverse == NULL else inverse[j]))
