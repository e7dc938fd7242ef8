"""The columns that sparse rows store, where those are few: all others have weights 0."""

import numpy as np
from scipy import sparse

from fastgd.problem.records import Record

# The stored columns are copied if they are at most this share of all: what a pass does for each
# column then takes half of the time or less.
MAX_STORED_SHARE = 0.5


class StoredColumns(Record):
    """The numbers of some columns of `of`, in ascending order."""

    numbers: np.ndarray
    of: int

    @classmethod
    def find(cls, X):
        """Those of a CSR matrix; None if they are not few."""
        p = X.shape[1]
        if not sparse.issparse(X) or X.nnz > p:
            return None
        is_stored = np.zeros(p, bool)
        is_stored[X.indices[: X.nnz]] = True
        numbers = np.flatnonzero(is_stored)
        return cls(numbers, p) if 0 < len(numbers) <= MAX_STORED_SHARE * p else None

    def take(self, X):
        """X with these columns alone, and a copy of its numbers, which SciPy may sort in place."""
        places = np.empty(self.of, X.indices.dtype)
        places[self.numbers] = np.arange(len(self.numbers))
        parts = X.data[: X.nnz].copy(), places[X.indices[: X.nnz]], X.indptr
        return sparse.csr_array(parts, (X.shape[0], len(self.numbers)))

    def expand(self, coef):
        """Weights (outputs, columns) of all columns, from those of these."""
        expanded = np.zeros((len(coef), self.of), coef.dtype)
        expanded[:, self.numbers] = coef
        return expanded
