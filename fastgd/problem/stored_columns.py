"""The columns that sparse rows store, where those are few: all others have weights 0."""

import numpy as np
from scipy import sparse

from fastgd.kernels.rows import rank_columns
from fastgd.problem.records import Record

# The stored columns are copied if they are at most this share of all: what a pass does for each
# column then takes half of the time or less.
MAX_STORED_SHARE = 0.5


class StoredColumns(Record):
    """The numbers of some columns of `of`, in ascending order; `ranks`: for each stored entry of a
    matrix, the place of its column among them.
    """

    numbers: np.ndarray
    of: int
    ranks: np.ndarray

    @classmethod
    def find(cls, X):
        """Those of a CSR matrix; None if they are not few."""
        p = X.shape[1]
        if not sparse.issparse(X) or not 0 < X.nnz <= p:
            return None
        columns = np.ascontiguousarray(X.indices[: X.nnz])
        numbers, ranks = rank_columns(columns, p, int(MAX_STORED_SHARE * p))
        return None if numbers is None else cls(numbers, p, ranks)

    def take(self, X):
        """X with these columns alone, and a copy of its numbers, which SciPy may sort in place."""
        parts = X.data[: X.nnz].copy(), self.ranks, X.indptr
        return sparse.csr_array(parts, (X.shape[0], len(self.numbers)))

    def expand(self, coef):
        """Weights (outputs, columns) of all columns, from those of these."""
        expanded = np.zeros((len(coef), self.of), coef.dtype)
        expanded[:, self.numbers] = coef
        return expanded
