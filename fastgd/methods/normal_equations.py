"""Least squares by Cholesky factors: of the products of the columns or, where there are fewer rows,
of the products of the rows.

The error of such a solution is of the order of cond(X)^2 machine epsilons. Where that matters the
solution is refined: its residual, computed from X itself in another pass, gives the next correction
by the same factor. Source: Björck, Numerical Methods for Least Squares Problems, sections 2.2
(normal equations) and 2.9 (iterative refinement).
"""

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dpocon

from fastgd.methods.cholesky import cholesky, solve
from fastgd.methods.conjugate_gradients import ConjugateGradients
from fastgd.problem.duality import relative
from fastgd.problem.layout import pack, unpack
from fastgd.problem.products import ScaledProducts, row_products
from fastgd.problem.records import Record

# Columns, or rows, at most: their products take 72 MB.
MAX_SIZE = 3000
# Multiplications per stored number of sparse X, at most: conjugate gradients take fewer passes than
# fit into that time, about 12, for each digit.
MAX_WORK_PER_NUMBER = 300
# Multiplications of a Cholesky factor that take as long as one of an iteration of conjugate
# gradients on sparse rows.
FACTOR_MULTIPLICATIONS = 50
# Refine the solution if the reciprocal condition number of the products is below this: without it
# the coefficients would be off by more than about 1e-10 of their size.
REFINED_CONDITION = 1e-6
# Another method takes over if the reciprocal condition number of the products of m columns is
# below this number of machine epsilons times sqrt(m): the rounding of eigenvalues that are 0.
SINGULAR_EPSILONS = 8
# A refined solution is accurate once a correction is at most this share of it: the next one would
# be smaller by the condition number times the machine epsilon, at most 1/8.
ACCURATE_CORRECTION = 1e-9
# Refinements, at most. A guard: each one gains a digit or more.
MAX_REFINEMENTS = 8


class Solution(Record):
    """Coefficients, the objective there and the norm of its gradient in scaled columns.

    `optimality` is that of `Method.optimality`; `gaps` are the duality gaps of the targets, if they
    have been computed.
    """

    coef: np.ndarray
    intercept: np.ndarray
    loss: float
    gradient_norm: float
    optimality: tuple = (0.0, "Newton decrement")
    solver: str = "cholesky"
    gaps: np.ndarray | None = None


class Factors(Record):
    """Cholesky factors of one matrix for all outputs, or of one each."""

    factors: list
    condition: float

    @classmethod
    def of(cls, matrices):
        """The factors, with the smallest reciprocal condition number; 0 if a matrix has none."""
        factors, conditions = [], []
        for H in matrices:
            norm = np.abs(H).sum(axis=0).max(initial=0.0)
            factor = cholesky(H)
            if factor is None:
                return cls([], 0.0)
            factors.append(factor)
            conditions.append(dpocon(factor, norm, uplo="L")[0])
        return cls(factors, min(conditions))

    def are_singular(self, size, rounding=1.0):
        """Whether a matrix may be singular; `rounding` is that of its entries, in epsilons."""
        least = SINGULAR_EPSILONS * np.finfo(float).eps * np.sqrt(size) * rounding
        return not self.condition >= least

    def solve(self, B):
        """H^-1 b for each row b of B, one per output."""
        if len(self.factors) == 1:
            return solve(self.factors[0], B.T).T
        pairs = zip(self.factors, B, strict=True)
        return np.array([solve(factor, b) for factor, b in pairs])


def solver_for(problem):
    """The function of a problem and `tol` that returns a `Solution`, or None if products are too
    close to singular; None if another method is the faster one.
    """
    objective, p = problem.objective, problem.rows.shape[1]
    if not objective.loss.is_quadratic or objective.has_nonsmooth_penalty or objective.tilt:
        return None
    rows, has_few = len(problem.visits), len(problem.visits) < p + objective.intercept
    if min(rows, p) > MAX_SIZE or not p:
        return None
    if has_few and (problem.X is None or objective.by_column):
        return None
    work = rows**3 / 3 if has_few else rows * p * p
    is_long = problem.rows.sparse and work > MAX_WORK_PER_NUMBER * problem.rows.stored
    if has_few:
        return solve_by_conjugate_gradients if is_long else solve_by_rows
    return None if is_long else solve_by_columns


def solve_by_columns(problem, tol=0.0):
    """Solve with the products of the columns, exactly whatever `tol`."""
    scaled = ScaledProducts.of(problem)
    if scaled is None:
        return None
    outputs, inverse, mean_x = problem.objective.outputs, scaled.inverse, scaled.products.mean_x
    l2 = np.atleast_2d(problem.objective.penalties(inverse)[1])
    factors = Factors.of(scaled.regularised(penalties) for penalties in l2)
    # Centring sparse columns multiplies the rounding of their products.
    shift = mean_x * inverse if problem.rows.sparse else np.zeros(1)
    if factors.are_singular(len(inverse), 1 + (shift**2).max(initial=0.0)):
        return None
    V = factors.solve(scaled.XY)
    G = V @ scaled.XX - scaled.XY
    squares = scaled.products.YY.sum() + (V * (G - scaled.XY)).sum() + (l2 * V * V).sum()
    loss, norm = max(float(squares) / 2, 0.0), np.linalg.norm(G + l2 * V)
    for _ in range(MAX_REFINEMENTS if factors.condition < REFINED_CONDITION else 0):
        theta = pack(*scaled.to_user(V), problem.rows.dtype, problem.by_column)
        flat = np.empty_like(theta)
        loss = problem.value(theta, flat)
        G, g = unpack(flat.astype(float), outputs, problem.by_column)
        G = (G - np.outer(g, mean_x)) * inverse + l2 * V
        change, norm = factors.solve(G), np.linalg.norm(G)
        V = V - change
        # A gradient in float32 is no better than the products.
        is_single = problem.rows.dtype != np.float64
        if is_single or np.linalg.norm(change) <= ACCURATE_CORRECTION * np.linalg.norm(V):
            break
    else:
        if factors.condition < REFINED_CONDITION:
            return None
    return Solution(*scaled.to_user(V), loss, float(norm))


class CenteredRows:
    """The rows times the roots of their shares in the weight, centred if there is an intercept;
    weights are combinations of them.
    """

    def __init__(self, problem, X):
        shares, intercept = problem.row_shares, problem.objective.intercept
        self._X, self.root, targets = X, np.sqrt(shares), problem.targets
        self.mean_x = shares @ X if intercept else np.zeros(X.shape[1])
        self.mean_y = shares @ targets if intercept else np.zeros(targets.shape[1])
        # (targets, n)
        self.targets = (self.root[:, None] * (targets - self.mean_y)).T

    def combine(self, U):
        """The combinations of the rows by U (targets, n): weights (targets, p)."""
        U = self.root * U
        return np.asarray(U @ self._X - np.outer(U.sum(axis=1), self.mean_x))

    def margins(self, W):
        """The products (targets, n) of the rows and weights W."""
        return self.root * (np.asarray(W @ self._X.T) - (W @ self.mean_x)[:, None])


def solve_by_conjugate_gradients(problem, tol=0.0):
    """Solve the system of `solve_by_rows` for sparse rows by conjugate gradients, to `tol`: with
    residuals r of the system F - F* is at most |r|^2 / 2.
    """
    X = sparse.csr_array(problem.training_X, dtype=float)
    rows, l2 = CenteredRows(problem, X), np.atleast_1d(problem.objective.l2)[:, None]
    squares = X.multiply(X).sum(axis=1) - 2 * (X @ rows.mean_x) + rows.mean_x @ rows.mean_x
    diagonal = rows.root**2 * np.maximum(squares, 0) + l2 + np.finfo(float).tiny
    worst, options = float((rows.targets**2).sum()) / 2, {"flat_step": 0.0, "has_bounds": False}
    cg = ConjugateGradients(rows.targets.copy(), lambda r: r / diagonal, _dot, **options)
    # A factor takes over once it would have taken as long.
    n, stored = len(rows.root), max(problem.rows.stored, 1)
    for _ in range(int(n**3 / 3 / (FACTOR_MULTIPLICATIONS * stored))):
        cg.step(rows.margins(rows.combine(cg.direction)) + l2 * cg.direction)
        left, ridge = cg.residual, l2 * cg.x
        loss = float(((left + ridge) ** 2).sum() + (ridge * (rows.targets - left - ridge)).sum())
        optimality = relative(float((left * left).sum()) / 2, loss / 2, worst)
        if optimality <= tol:
            break
    else:
        return solve_by_rows(problem, tol)
    coef = rows.combine(cg.x)
    known = loss / 2, float(np.linalg.norm(left)), (optimality, "duality gap"), "sparse_cg"
    return Solution(coef, rows.mean_y - coef @ rows.mean_x, *known)


def _dot(a, b):
    """The dot product of each row of a and b, (rows, 1)."""
    return (a * b).sum(axis=1, keepdims=True)


def solve_by_rows(problem, tol=0.0):
    """Solve with the products of the rows, which are fewer than the columns: the weights are a
    combination of the rows, w = X' a. Without a penalty they are those of the least norm.
    """
    objective, targets = problem.objective, problem.targets
    X = problem.training_X
    rows = CenteredRows(problem, X)
    root, mean_x, mean_y = rows.root, rows.mean_x, rows.mean_y
    K = row_products(problem, mean_x) * root * root[:, None]
    if not np.isfinite(K).all():
        return None
    l2 = np.atleast_1d(objective.l2)
    if objective.intercept:
        # The centred rows add up to 0: their sum gets a curvature of its own.
        K += np.outer(root, root) * np.diagonal(K).mean()
    factors = Factors.of(K + np.diag(np.full(len(K), strength)) for strength in l2)
    if factors.are_singular(len(K)):
        return None
    U, residuals = np.zeros(targets.T.shape), rows.targets
    for number in range(1 + MAX_REFINEMENTS):
        change = factors.solve(residuals - l2[:, None] * U)
        U = U + change
        # A residual in float32 is no better than the products.
        is_single = problem.rows.dtype != np.float64
        is_accurate = np.linalg.norm(change) <= ACCURATE_CORRECTION * np.linalg.norm(U)
        coef = rows.combine(U)
        offset = mean_y - coef @ mean_x
        residuals = root * (targets.T - np.asarray(coef @ X.T) - offset[:, None])
        if is_accurate or is_single or (not number and factors.condition >= REFINED_CONDITION):
            break
    else:
        return None
    loss = float((residuals**2).sum() + (l2[:, None] * coef**2).sum()) / 2
    gradient = np.linalg.norm(residuals - l2[:, None] * U)
    return Solution(coef, offset, loss, float(gradient))
