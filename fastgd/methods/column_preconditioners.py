"""Preconditioners of many binary logistic regressions on the same rows X, for `NewtonColumns`.

A dense preconditioner is the Hessian of one column of weights, made of a subsample of the rows. It
serves all columns of similar curvatures. Where it is expensive, columns begin with the diagonal,
which costs nothing, and get a dense preconditioner once their CG steps have taken as long as making
one: the time is at most about twice that of the better choice (the ski rental problem). In
principal axes the diagonal is the Hessian at equal curvatures of the rows.
"""

import numpy as np
from scipy import sparse

from fastgd.methods.cholesky import cholesky, solve
from fastgd.methods.preconditioner import (
    MIN_SUBSAMPLE_ROWS,
    PRODUCTS_PER_PASS,
    STALE_CURVATURE_SHARE,
)
from fastgd.problem.records import Record

# Rows per column of X that a preconditioner is made of. Its eigenvalues relative to the Hessian's
# are within (1 +- 1 / sqrt(12))^2: two CG steps then leave about 1 % of the decrement.
ROWS_PER_COLUMN = 12
# A preconditioner serves a column that starts if at most this share of the curvature differs.
SIMILAR_CURVATURE_SHARE = 0.25
# Penalties of the same C differ by the total weights of their rows. Up to this ratio they share a
# factor.
SAME_FACTOR_RATIO = 1.5
# The curvature of a column of X that few rows carry is in a preconditioner too large or too small
# by this ratio, at most.
MAX_RARE_RATIO = 3.0
# CG steps of a direction with a dense preconditioner, at most. A new one of all rows is then made.
MAX_CG_PASSES = 25


class Reference(Record):
    """The Hessian (without penalty) at one column's curvatures, which preconditions others."""

    curvature: np.ndarray  # of the compared rows, without weights
    matrix: np.ndarray
    ridge: float


def sampled_rows(X):
    """The number of rows that a dense preconditioner is made of."""
    n, p = X.shape
    return min(n, max(ROWS_PER_COLUMN * p, MIN_SUBSAMPLE_ROWS))


def dense_steps(X):
    """The number of CG steps of one column that take as long as making a dense preconditioner."""
    n, p = X.shape
    # Multiplications by BLAS: a product of a matrix with its transpose, a Cholesky factorisation.
    dense = sampled_rows(X) * p * p / 2 + p**3 / 6
    step = PRODUCTS_PER_PASS * X.nnz if sparse.issparse(X) else 2 * n * p
    return int(dense / max(step, 1))


class Preconditioners:
    """The preconditioners of the columns of one training; `l2` (p + 1, columns) are the penalties
    in scaled columns.

    The first of `references` to be tried are those given. `rare_least` is the least curvature of
    each column relative to its preconditioner at columns of X that few rows carry: an upper bound
    of the smallest eigenvalue, which CG may not see.
    """

    def __init__(self, solver, columns, l2, references):
        self._solver, self._l2, self.references = solver, l2, references
        self._weights, self._group, self._C = columns.weights, columns.group, columns.C
        self._totals = columns.weights.sum(axis=0)
        self._S = self._totals[columns.group]
        size = len(columns.C)
        # The place of each column's reference, -1 for the diagonal, and whether CG was slow with
        # it.
        self._reference, self._is_slow = np.full(size, -1), np.zeros(size, bool)
        # The CG steps that each column may still take with the diagonal.
        self._diagonal_steps = np.full(size, solver.diagonal_steps)
        self._mean_curvature, self.rare_least = np.zeros(size), np.ones(size)
        self._factors = {}

    # ---- the choice ----

    def choose(self, columns, z, h):
        """Choose a preconditioner for each column whose curvatures have changed, or make one;
        return the columns that have got another one.

        z are the margins (rows, all columns), h the curvatures times the row weights.
        """
        solver, compared = self._solver, self._solver.compared
        weights, rare = self._weights[compared], self._rare_curvatures(columns, h)
        self._mean_curvature[columns] = h[:, columns].sum(axis=0) / self._S[columns]
        changed, new = [], []
        for k in columns[np.argsort(-self._C[columns], kind="stable")]:
            s, own = weights[:, self._group[k]], h[compared, k]
            total, old = own.sum(), self._reference[k]

            def differs(reference, share, s=s, own=own, total=total):
                return not np.abs(s * reference.curvature - own).sum() <= share * total

            # Of a slow diagonal a dense preconditioner need not be exact.
            is_poor = old >= 0 and (self._is_slow[k] or self._is_off(old, rare[k], k))
            if old >= 0 and not is_poor:
                if not differs(self.references[old], STALE_CURVATURE_SHARE):
                    continue
            known = range(len(self.references) if not is_poor else 0)
            alike = (
                j
                for j in known
                if not differs(self.references[j], SIMILAR_CURVATURE_SHARE)
                and not self._is_off(j, rare[k], k)
            )
            found = next(alike, None)
            if found is None and self._diagonal_steps[k] > 0 and old < 0:
                continue
            if found is None:
                curvature = logistic_curvature(z[:, k])
                found = len(self.references)
                new.append((found, k, curvature, bool(is_poor)))
                self.references.append(Reference(curvature[compared], np.empty(0), 0.0))
            self._reference[k], self._is_slow[k] = found, False
            changed.append(k)

        def make(task):
            _, k, curvature, is_exact = task
            own = self._weights[:, self._group[k]] / self._S[k]
            return solver.reference(own, curvature, is_exact)

        for (place, *_), made in zip(new, solver.map(make, new), strict=True):
            self.references[place] = made
        for k in columns if len(solver.rare) else ():
            self.rare_least[k] = self._rare_ratios(self._reference[k], rare[k], k).min()
        return np.array(changed, int)

    def most_steps(self, columns):
        """The number of CG steps that each column may take in a direction."""
        is_diagonal = self._reference[columns] < 0
        return np.where(is_diagonal, np.maximum(self._diagonal_steps[columns], 1), MAX_CG_PASSES)

    def count_steps(self, columns, steps, is_slow):
        """Take note of the CG steps of a direction, and of columns for which they were too few."""
        self._is_slow[columns] = is_slow
        is_diagonal = self._reference[columns] < 0
        self._diagonal_steps[columns] -= np.where(is_diagonal, steps, 0)

    def _rare_curvatures(self, columns, h):
        """{column: diagonal of its Hessian at the columns of X that few rows carry}"""
        solver = self._solver
        if not len(solver.rare):
            return dict.fromkeys(columns, np.empty(0))

        def function(rows):
            return (solver.rare_squares(rows).T @ h[rows][:, columns],)

        (sums,) = solver.sums(function)
        return dict(zip(columns, (sums / self._S[columns]).T, strict=True))

    def _rare_ratios(self, place, rare, k):
        """The curvatures of a column, relative to those of a reference, at the columns of X that
        few rows carry; 1 if there are none, or the reference is new.
        """
        if not len(rare):
            return np.ones(1)
        l2, diagonal = self._l2[self._solver.rare, k], self._mean_curvature[k]
        if place >= 0:
            matrix = self.references[place].matrix
            if not len(matrix):
                return np.ones(1)
            diagonal = np.diagonal(matrix)[self._solver.rare]
        return (rare + l2) / (diagonal + l2)

    def _is_off(self, place, rare, k):
        """Whether these ratios are too large or too small."""
        ratios = self._rare_ratios(place, rare, k)
        return not (ratios.max() <= MAX_RARE_RATIO and ratios.min() >= 1 / MAX_RARE_RATIO)

    # ---- its inverse ----

    def solve(self, columns, r):
        """The inverse preconditioners of columns times the columns of r."""
        is_diagonal = self._reference[columns] < 0
        out = np.empty_like(r)
        if is_diagonal.any():
            k = columns[is_diagonal]
            out[:, is_diagonal] = r[:, is_diagonal] / self._diagonals(k)
        places = {}
        for place in np.flatnonzero(~is_diagonal):
            places.setdefault(self._key(columns[place]), []).append(place)
        missing = [(key, columns[at[0]]) for key, at in places.items() if key not in self._factors]
        if missing:
            wanted = set(zip(self._reference, self._C, strict=True))
            self._factors = {key: f for key, f in self._factors.items() if key[:2] in wanted}
            made = self._solver.map(lambda task: self._factor(task[1]), missing)
            for (key, _), factor in zip(missing, made, strict=True):
                self._factors[key] = factor
        for key, at in places.items():
            out[:, at] = solve(self._factors[key], r[:, at])
        return out

    def _diagonals(self, columns):
        """The Hessians' diagonals at equal curvatures: scaled columns of X have mean square 1."""
        return np.maximum(self._mean_curvature[columns], 1e-300) + self._l2[:, columns]

    def _key(self, k):
        """The factor of a column: (reference, C, class of its total weight)."""
        bucket = np.rint(np.log(self._S[k] / self._totals.max()) / np.log(SAME_FACTOR_RATIO))
        return self._reference[k], self._C[k], bucket

    def _factor(self, k):
        """The Cholesky factor of the preconditioner of column k."""
        reference = self.references[self._reference[k]]
        diagonal = reference.ridge + self._l2[:, k]
        # A constant column, and a missing intercept, stay where they are.
        diagonal[np.diagonal(reference.matrix) == 0] += 1.0
        scale = 1.0
        while True:
            matrix = reference.matrix.copy(order="F")
            matrix[np.diag_indices(len(matrix))] += diagonal * scale
            factor = cholesky(matrix)
            if factor is not None:
                return factor
            # Rounding of large numbers exceeds the ridge.
            scale = max(10 * scale, 1e6 * reference.ridge)


def logistic_curvature(z):
    """The second derivative of log(1 + exp(-z))."""
    e = np.exp(-np.abs(z))
    q = 1 / (1 + e)
    return e * q * q
