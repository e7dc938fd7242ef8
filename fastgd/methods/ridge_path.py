"""Ridge regression for many penalties from one factorisation.

With H = Q T Q', T tridiagonal, the solution of (H + l2) w = b is Q (T + l2)^-1 Q' b, which takes of
the order of m^2 operations for each penalty instead of m^3. Source: Eldén, "Algorithms for the
regularization of ill-conditioned least squares problems", BIT 17 (1977).

The factorisation is accurate relative to the largest entries of H, and columns of different sizes
lose digits. So the solutions are refined with H itself, which has the accuracy of a factorisation
of its own of scaled columns: Skeel, "Iterative refinement implies numerical stability for Gaussian
elimination", Mathematics of Computation 35 (1980).
"""

import numpy as np
from scipy.linalg import LinAlgError, eigh, eigvalsh_tridiagonal
from scipy.linalg.lapack import dormqr, dptsv, dsytrd, dsytrd_lwork

from fastgd.problem.records import Record

# A refined solution is accurate once a correction is at most this share of it, as in
# `normal_equations`: the next one would be smaller by the same factor.
ACCURATE_CORRECTION = 1e-9
# The same of a single correction that is computed from X: what remains is as much smaller again.
ACCURATE_STEP = 1e-6
# Refinements, at most: solutions that still change then are not accurate.
MAX_REFINEMENTS = 6
# Rows of a block: its products with p columns stay in the cache.
BLOCK_NUMBERS = 2**17


class Tridiagonal:
    """H = Q T Q' of a symmetric matrix of which the lower triangle is read."""

    def __init__(self, H):
        m = len(H)
        self._diagonal, self._beside = np.diagonal(H).copy(), np.zeros(0)
        if m < 2:
            return
        work = int(dsytrd_lwork(m, lower=1)[0])
        packed, self._diagonal, self._beside, self._tau, _ = dsytrd(H, lower=1, lwork=work)
        self._reflectors = np.asfortranarray(packed[1:, :-1])

    def _rotate(self, B, trans):
        """Q B, or Q' B, of a matrix (m, columns)."""
        out = np.array(B, order="F")
        rest = np.asfortranarray(out[1:])
        arguments = "L", trans, self._reflectors, self._tau, rest
        size = int(dormqr(*arguments, -1)[1][0])
        out[1:] = dormqr(*arguments, size)[0]
        return out

    def solve(self, B, l2):
        """(H + l2)^-1 of B (penalties, targets, m); NaN where that is not positive definite."""
        count, targets, m = B.shape
        if m < 2:
            return B / (self._diagonal + np.asarray(l2)[:, None, None])
        Z = self._rotate(B.reshape(-1, m).T, "T")
        for number, strength in enumerate(l2):
            own = slice(number * targets, (number + 1) * targets)
            _, _, solution, fault = dptsv(self._diagonal + strength, self._beside, Z[:, own])
            Z[:, own] = np.nan if fault else solution
        return np.ascontiguousarray(self._rotate(Z, "N").T).reshape(B.shape)

    def condition(self, l2):
        """The condition number of H + l2; infinite where LAPACK finds no eigenvalues."""
        if not len(self._diagonal):
            return np.ones(len(l2))
        try:
            ends = [
                eigvalsh_tridiagonal(
                    self._diagonal,
                    self._beside,
                    select="i",
                    select_range=(k, k),
                    check_finite=False,
                )[0]
                for k in (0, len(self._diagonal) - 1)
            ]
        except LinAlgError:  # numbers near the ends of the floats
            return np.full(len(l2), np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (ends[1] + l2) / np.maximum(ends[0] + l2, 0)


class Eigen:
    """H = V diag(values) V' of a symmetric matrix of which the lower triangle is read."""

    def __init__(self, H):
        self.values, self.vectors = eigh(H, driver="evd", check_finite=False)
        self.values = np.maximum(self.values, 0.0)

    def solve(self, B, l2):
        """As of `Tridiagonal`."""
        turned = (B @ self.vectors) / (self.values + np.asarray(l2)[:, None, None])
        return turned @ self.vectors.T

    def condition(self, l2):
        """The condition number of H + l2."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.values[-1:].sum() + l2) / (self.values[:1].sum() + l2)


def solve_all(H, b, l2, scale=None, factor=None, rough=False):
    """(penalties, targets, m): the solutions of (H + l2) w = b for all penalties l2, b (targets,
    m); NaN for penalties whose solution is not accurate, unless `rough` allows it.

    Columns of scale 0 have weights 0. `factor` is that of H, if it is known.
    """
    if scale is not None and not scale.all():
        kept = np.flatnonzero(scale)
        W = np.zeros((len(l2), len(b), len(H)))
        W[..., kept] = solve_all(H[np.ix_(kept, kept)], b[:, kept], l2, scale[kept])
        return W
    if not H.size:
        return np.zeros((len(l2), len(b), len(H)))
    unit = 1.0 if scale is None else scale
    l2 = np.asarray(l2, float)
    strengths, factor = l2[:, None, None], factor or Tridiagonal(H)
    residual = np.broadcast_to(b, (len(l2), *b.shape))
    with np.errstate(all="ignore"):
        W = factor.solve(residual, l2)
        last, is_open = np.full(len(l2), np.inf), np.ones(len(l2), bool)
        for _ in range(MAX_REFINEMENTS):
            change = factor.solve(b - (W @ H + strengths * W), l2)
            size = _norms(change * unit)
            # A correction that is larger than the last one is rounding.
            is_better = size < last
            W[is_better] += change[is_better]
            last = np.where(is_better, size, last)
            is_open = ~(last <= ACCURATE_CORRECTION * _norms(W * unit))
            if not (is_open & is_better).any():
                break
    if not rough:
        W[is_open] = np.nan
    return W


def _norms(W):
    return np.sqrt((W * W).sum(axis=(1, 2)))


class PathMargins(Record):
    """Margins of rows at the solutions for all penalties, in blocks of rows."""

    X: object
    mean_x: np.ndarray
    mean_y: np.ndarray
    W: np.ndarray

    def blocks(self, rows):
        """Yields (rows of a block, margins (rows, penalties, targets))."""
        count, targets, p = self.W.shape
        flat = np.ascontiguousarray(self.W.reshape(-1, p).T)
        for own in blocks_of(rows, p):
            margins = centered_product(self.X, own, self.mean_x, flat)
            yield own, margins.reshape(len(own), count, targets) + self.mean_y


def blocks_of(rows, columns):
    """The rows in blocks whose size depends on the number of columns alone."""
    size = max(64, BLOCK_NUMBERS // max(columns, 1))
    return [rows[begin : begin + size] for begin in range(0, len(rows), size)]


def centered_rows(X, rows, mean_x):
    """Rows of a dense X minus the mean, in float64."""
    first, last = int(rows[0]), int(rows[-1])
    is_slice = last - first == len(rows) - 1 and (len(rows) < 3 or (np.diff(rows) == 1).all())
    return np.subtract(X[first : last + 1] if is_slice else X[rows], mean_x, dtype=float)


def centered_product(X, rows, mean_x, V):
    """(x - mean_x) V of these rows."""
    if hasattr(X, "indptr"):
        return np.asarray(X[rows].astype(float, copy=False) @ V) - mean_x @ V
    return centered_rows(X, rows, mean_x) @ V


def refined(problem, products, W, l2):
    """The solutions W (penalties, targets, p) for the columns, improved by a residual that is
    computed from X itself; NaN for penalties whose solution is not accurate.

    The rounding of the products of nearly dependent columns multiplies that of the solutions.
    """
    count, targets, p = W.shape
    varies = np.flatnonzero(products.scale)
    flat = np.ascontiguousarray(W.reshape(-1, p).T)
    gradient = np.zeros((p, count * targets))
    shares, centered_y = problem.row_shares, problem.targets - products.mean_y
    for begin, own in numbered_blocks(problem.visits, p):
        here = slice(begin, begin + len(own))
        left = -centered_product(problem.X, own, products.mean_x, flat)
        left = left.reshape(len(own), count, targets) + centered_y[here, None, :]
        weights = shares[here, None] * left.reshape(len(own), -1)
        if problem.rows.sparse:
            X = problem.X[own].astype(float, copy=False)
            gradient += X.T @ weights - np.outer(products.mean_x, weights.sum(axis=0))
        else:
            gradient += centered_rows(problem.X, own, products.mean_x).T @ weights
    residual = gradient.T.reshape(W.shape) - np.asarray(l2)[:, None, None] * W
    H, scale = products.XX[np.ix_(varies, varies)], products.scale[varies]
    change = Tridiagonal(H).solve(np.ascontiguousarray(residual[..., varies]), l2)
    W = W.copy()
    W[..., varies] += change
    with np.errstate(invalid="ignore"):
        is_accurate = _norms(change * scale) <= ACCURATE_STEP * _norms(W[..., varies] * scale)
    W[~is_accurate] = np.nan
    return W


def numbered_blocks(rows, columns):
    """Yields (number of rows before it, block)."""
    done = 0
    for own in blocks_of(rows, columns):
        yield done, own
        done += len(own)
