"""The record that every kernel takes: rows, targets, weights, order of the visits, objective."""
from .losses cimport SOFTMAX, VALUES
from .rows cimport check_order, start_of


cdef class DataTerm:
    """The data term sum_i s_i L(x_i W + b, y_i) over the rows in `order`, checked once.

    Parameters
    ----------
    rows : Rows
    y : ndarray of float64
        `outputs` numbers for each row of X, or its class number; see `Targets`.
    weights : ndarray of float64, shape (n,), or None
        None: all 1.
    order : ndarray of intp
        The numbers of the rows to visit, in order.
    objective : dict
        The struct `Objective` of losses.pxd.
    threads : int
        The largest number of threads. It changes no result.
    """

    def __init__(self, Rows rows not None, const double[::1] y not None,
                 const double[::1] weights, const Py_ssize_t[::1] order not None,
                 Objective objective, int threads=1):
        cdef Py_ssize_t n = rows.table.n, i
        self.rows, self.y, self.weights, self.order = rows, y, weights, order
        self.data.X = &rows.table
        self.data.y, self.data.weights = start_of(y), start_of(weights)
        self.data.order = &order[0] if order.shape[0] else NULL
        self.data.visits = order.shape[0]
        self.data.targets = objective.outputs if objective.targets == VALUES else 1
        self.data.objective = objective
        self.data.threads = threads
        if objective.outputs < 1:
            raise ValueError(f"there are {objective.outputs} outputs, 1 at least is needed")
        if (y.shape[0] != n * self.data.targets
                or (weights is not None and weights.shape[0] != n)):
            raise ValueError(f"X has {n} rows, y has {y.shape[0] // self.data.targets} and weights "
                             f"{None if weights is None else len(weights)}")
        for i in range(n if objective.loss == SOFTMAX else 0):
            if not 0 <= y[i] < objective.outputs:
                raise ValueError(f"y[{i}] = {y[i]} is not one of the {objective.outputs} classes")
        check_order(order, n)

    def over(self, const Py_ssize_t[::1] order not None):
        """The same data term over the rows in another order."""
        cdef DataTerm other = DataTerm.__new__(DataTerm)
        other.rows, other.y, other.weights, other.order = self.rows, self.y, self.weights, order
        other.data = self.data
        other.data.order = &order[0] if order.shape[0] else NULL
        other.data.visits = order.shape[0]
        check_order(order, self.data.X.n)
        return other

    @property
    def size(self):
        """The number of margins: visits times outputs."""
        return self.data.visits * self.data.objective.outputs

    cdef int check(self, Py_ssize_t itemsize, Py_ssize_t parameters) except -1:
        """Raise an error unless type and number of the parameters are those of a linear model."""
        cdef Py_ssize_t needed = self.data.objective.outputs * (self.data.X.p + 1)
        if itemsize != self.data.X.itemsize:
            raise TypeError(f"theta has {itemsize} bytes a number, X has {self.data.X.itemsize}")
        if parameters != needed:
            raise ValueError(f"theta has {parameters} entries, {self.data.objective.outputs} x "
                             f"({self.data.X.p} + 1) are needed")
        return 0
