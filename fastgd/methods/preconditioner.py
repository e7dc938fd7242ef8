"""Preconditioners of Newton's methods, and what they cost."""

import numpy as np

from fastgd.methods.cholesky import solve
from fastgd.problem.records import Record

# A preconditioner is made again once more than this share of the total curvature has changed.
STALE_CURVATURE_SHARE = 0.5
# A squared pivot of a Cholesky factor may come from linearly dependent columns if it is at most
# this many ridges, relative to the largest one: the ridge alone leaves such a pivot one ridge or a
# little more.
SMALL_PIVOT = 100
# Added to the diagonal of a matrix of no more rows than columns, in units of the mean curvature: it
# is flat in many directions.
RIDGE_FEW_ROWS = 1e-6
# Columns of a dense preconditioner, at most: its matrix takes 32 MB, its Cholesky factorisation
# p^3 / 3 = 2.7e9 multiplications.
MAX_DENSE_COLUMNS = 2000
# Numbers of the Cholesky factors of all outputs, at most: 256 MB.
MAX_FACTOR_NUMBERS = 2**25
# Rows that a dense preconditioner is made of: ROWS_PER_COLUMN rows per column are enough, and
# with fewer than MIN_ROWS_PER_COLUMN none is made.
ROWS_PER_COLUMN = 6
MIN_ROWS_PER_COLUMN = 4
# A dense preconditioner is made of at least this number of rows, if there are as many.
MIN_SUBSAMPLE_ROWS = 2000
# Up to this number of columns a quadratic's dense preconditioner is made of all rows. It is made
# once.
MAX_ALL_ROWS_COLUMNS = 200
# The same for other losses, whose preconditioner is made again when the curvatures change.
MAX_REPEATED_ALL_ROWS_COLUMNS = 50
# Multiplications per number of X that a dense preconditioner may cost: about 6 passes, with
# PRODUCTS_PER_PASS a pass.
DENSE_PRODUCTS = 160
# Multiplications by BLAS per stored number of X that take as long as a pass over X.
PRODUCTS_PER_PASS = 25


def center_outputs(a, joint):
    """a, for a joint loss (softmax) minus its mean over the outputs: the loss does not depend on
    the mean, and the penalty is least where it is 0.
    """
    return a - a.mean(axis=0) if joint else a


class Preconditioner(Record):
    """An approximate inverse of the Hessian: that of its diagonal, or one Cholesky factor per
    output.
    """

    joint: bool
    diagonal: np.ndarray
    factors: list | None

    def is_nearly_singular(self, ridge):
        """Whether the factors show that columns may be linearly dependent."""
        squares = [np.diagonal(factor) ** 2 for factor in self.factors or ()]
        small = SMALL_PIVOT * ridge
        return any(square.min() <= small * square.max() for square in squares if len(square))

    def __call__(self, r):
        r = center_outputs(r, self.joint)
        if self.factors is None:
            return center_outputs(r / self.diagonal, self.joint)
        pairs = zip(self.factors, r, strict=True)
        solved = np.array([solve(factor, row) for factor, row in pairs])
        return center_outputs(solved, self.joint)


def dense_rows(problem):
    """The number of rows for a dense preconditioner that costs at most a few passes over X; 0 if
    there is none.
    """
    n, p = len(problem.visits), problem.rows.shape[1]
    is_quadratic = problem.objective.loss.is_quadratic
    affordable = max(DENSE_PRODUCTS * n - p * p / 3, 0) / max(p, 1)
    most = int(min(n, max(ROWS_PER_COLUMN * p, MIN_SUBSAMPLE_ROWS), affordable))
    if p <= (MAX_ALL_ROWS_COLUMNS if is_quadratic else MAX_REPEATED_ALL_ROWS_COLUMNS):
        most = n
    return most if p <= MAX_DENSE_COLUMNS and most >= min(n, MIN_ROWS_PER_COLUMN * p) else 0


def late_dense_rows(problem):
    """The number of rows for a dense preconditioner that is made once CG has taken as long as it
    costs; 0 if there is none.
    """
    n, p = len(problem.visits), problem.rows.shape[1]
    factors = 1 if problem.objective.loss.is_quadratic else problem.objective.outputs
    if p > MAX_DENSE_COLUMNS or factors * p * p > MAX_FACTOR_NUMBERS:
        return 0
    return min(n, max(ROWS_PER_COLUMN * p, MIN_SUBSAMPLE_ROWS))


def passes_to_make(problem, rows, at_once):
    """The time to make a dense preconditioner of this number of rows, in passes over X."""
    n, p = len(problem.visits), problem.rows.shape[1] + 1
    if at_once:
        return rows * p // (PRODUCTS_PER_PASS * n)
    numbers = max(problem.rows.stored * n // max(problem.rows.shape[0], 1), 1)
    return (rows * p * p + p**3 // 3) // (PRODUCTS_PER_PASS * numbers)
