"""Leave-one-out predictions of ridge regression in closed form, for many penalties.

Without its row i, the model of all rows leaves the residual r_i / (1 - h_i) of that row, with r_i
its residual with it and h_i = s_i x_i' (X' S X + alpha)^-1 x_i its leverage (plus s_i / sum s with
an intercept, x centred). With fewer rows than columns r_i / (1 - h_i) = c_i / d_i, where G = X X' +
alpha, c = G^-1 y and d is the diagonal of G^-1.
Source: Rifkin and Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from scipy.linalg import qr, svd

from fastgd.methods.ridge_path import (
    Eigen,
    blocks_of,
    centered_product,
    centered_rows,
    solve_all,
)
from fastgd.problem.products import RowGram, products_of, row_products

# Of the products of the columns, beyond which their eigenvectors are too rough for leverages: those
# of the least eigenvalues are off by this number of machine epsilons, 1e-6.
MAX_CONDITION = 5e9
# Numbers of dense X, at most, for its singular values in place of those eigenvectors: 1 GB.
MAX_NUMBERS = 2**27
# A row with 1 - leverage below this number carries some column nearly alone, so that its residual
# keeps less than ten digits: the models without it are trained anew, of so many rows at most.
MIN_COMPLEMENT = 1e-6
MAX_RETRAINED = 100
# Operations in a block of rows that are worth a thread: a millisecond.
THREAD_WORK = 2e7


class LeaveOneOut:
    """Leave-one-out residuals y_i - prediction of row i, for the penalties l2 beside the mean loss;
    with the `Products` of the columns, or None with those of the rows.
    """

    # The products of the rows, if they have been computed.
    row_gram = None
    # The residuals of all rows, where there are fewer rows than columns.
    _gram_residuals = None

    def __init__(self, problem, products, l2):
        self.problem, self.X = problem, problem.X
        rows, p = self.X.shape
        self.rows, self.targets = np.arange(rows), problem.y.reshape(rows, -1)
        self.l2 = np.asarray(l2, float)
        self.shares = np.zeros(rows)
        self.shares[problem.visits] = problem.row_shares
        if products is None:
            self._use_rows()
        else:
            self._use_columns(products)

    # ---- more rows than columns ----

    def _use_columns(self, products):
        self._products = products
        varies = np.flatnonzero(products.scale)
        H = products.XX[np.ix_(varies, varies)]
        factor, scale = Eigen(H), products.scale[varies]
        b = products.XY.T[:, varies]
        W = solve_all(H, b, self.l2, scale, factor, rough=True)
        self._W = np.zeros((len(self.l2), len(W[0]), len(products.scale)))
        self._W[..., varies] = W
        self._basis, self._gains = np.zeros((len(products.scale), len(varies))), None
        is_rough = bool(len(H)) and factor.condition(self.l2.min()) > MAX_CONDITION
        if is_rough and not self.problem.rows.sparse and self.X.size <= MAX_NUMBERS:
            self._use_singular_values(varies)
            return
        self._basis[varies] = factor.vectors
        with np.errstate(divide="ignore"):
            self._gains = 1 / (factor.values[:, None] + self.l2)

    def _use_singular_values(self, columns):
        """Leverages from the singular values of X: they have twice the digits of eigenvalues of
        X' X.
        """
        centered = centered_rows(self.X, self.rows, self._products.mean_x)[:, columns]
        centered *= np.sqrt(self.shares)[:, None]
        R = qr(centered, mode="r", overwrite_a=True, check_finite=False)[0][: len(columns)]
        # The largest columns first: rounding is relative to them.
        order = np.argsort(-self._products.scale[columns])
        _, values, rotation = svd(R[:, order], full_matrices=False, check_finite=False)
        self._basis = np.zeros((self.X.shape[1], len(values)))
        self._basis[columns[order]] = rotation.T
        self._gains = 1 / (values[:, None] ** 2 + self.l2)

    def _retrained(self, row):
        """Leave-one-out residuals (penalties, targets) of a row, by training without it."""
        problem = self.problem
        others = replace(problem, visits=problem.visits[problem.visits != row])
        products = products_of(others)
        if products is None:
            return None
        # The penalties are those of sums.
        l2 = self.l2 * (problem.total_weight / others.total_weight)
        W = solve_all(products.XX, products.XY.T, l2, products.scale, rough=True)
        x = self.X[[row]].toarray()[0] if problem.rows.sparse else self.X[row]
        return self.targets[row] - (W @ (x - products.mean_x) + products.mean_y)

    def blocks(self, threads):
        """Yields (rows of a block, leave-one-out residuals (rows, penalties, targets)) in order."""
        if self._gram_residuals is not None:
            yield self.rows, self._gram_residuals
            return
        problem = self.problem
        count, outputs, p = self._W.shape
        flat = np.ascontiguousarray(self._W.reshape(-1, p).T)
        both = np.hstack([self._basis, flat])

        def residuals(own):
            turned = centered_product(self.X, own, self._products.mean_x, both)
            size, rank = len(own), self._basis.shape[1]
            margins = turned[:, rank:].reshape(size, count, outputs) + self._products.mean_y
            leverage = np.square(turned[:, :rank]) @ self._gains
            if problem.objective.intercept:
                leverage += 1
            left = self.targets[own][:, None, :] - margins
            complement = 1 - self.shares[own][:, None] * leverage
            with np.errstate(divide="ignore", invalid="ignore"):
                left /= complement[..., None]
            is_alone = (complement < MIN_COMPLEMENT).any(axis=1)
            return left, np.flatnonzero(is_alone)

        parts = blocks_of(self.rows, p)
        has_threads = len(self.rows) * p * both.shape[1] > 2 * THREAD_WORK
        retrained = 0
        for own, (left, alone) in ordered(residuals, parts, threads if has_threads else 1):
            for number in alone[: max(MAX_RETRAINED - retrained, 0)]:
                anew = self._retrained(own[number])
                if anew is not None:
                    left[number] = anew
            retrained += len(alone)
            yield own, left

    # ---- fewer rows than columns ----

    @np.errstate(over="ignore", invalid="ignore")  # `blocks` yields what is not finite
    def _use_rows(self):
        problem, visits = self.problem, self.problem.visits
        shares, targets = problem.row_shares, problem.targets
        root, X = np.sqrt(shares), problem.training_X
        center = np.zeros(X.shape[1])
        mean_y = np.zeros(targets.shape[1])
        is_centered = problem.objective.intercept
        if is_centered:
            center, mean_y = np.asarray(shares @ X, float), shares @ targets
        products = row_products(problem, center)
        self.row_gram = RowGram(problem.X, visits, center, products)
        gram = products * root * root[:, None]
        raised = 0.0
        if is_centered:
            # The centred rows add up to 0. Their sum gets an eigenvalue among the largest, so that
            # its part of the diagonal can be subtracted.
            raised = float(np.trace(gram)) or 1.0
            gram += raised * np.outer(root, root)
        factor = Eigen(gram)
        values, vectors = factor.values, factor.vectors
        Y = (root[:, None] * (targets - mean_y)).T
        is_rough = factor.condition(self.l2.min()) > MAX_CONDITION
        if is_rough and not problem.rows.sparse and X.size <= MAX_NUMBERS:
            vectors, values = self._singular_values(X, center, root, raised)
            U = ((Y @ vectors) / (values + self.l2[:, None, None])) @ vectors.T
        else:
            U = solve_all(gram, Y, self.l2, factor=factor, rough=True)
        with np.errstate(all="ignore"):
            gains = 1 / (values[:, None] + self.l2)
            diagonal = np.square(vectors) @ gains
            if is_centered:
                diagonal -= (root * root)[:, None] / (raised + self.l2)
            left = np.moveaxis(U, -1, 0) / (diagonal * root[:, None])[..., None]
        if len(visits) == len(self.rows):
            self._gram_residuals = left
            return
        # Rows of weight 0 are in no model.
        duals = (root * U).reshape(-1, len(root))
        W = np.asarray(duals @ X) - np.outer(duals.sum(axis=1), center)
        others = np.setdiff1d(self.rows, visits)
        margins = np.asarray(self.X[others] @ W.T) - W @ center
        margins = margins.reshape(-1, *U.shape[:2]) + mean_y
        self._gram_residuals = np.empty((len(self.rows), *U.shape[:2]))
        self._gram_residuals[others] = self.targets[others][:, None, :] - margins
        self._gram_residuals[visits] = left

    def _singular_values(self, X, center, root, raised):
        """(vectors, values) of the products of the rows from the singular values of the rows."""
        centered = root[:, None] * np.subtract(X, center, dtype=float)
        centered = centered[:, np.argsort(-np.square(centered).sum(axis=0))]
        if raised:  # a column of its own for the sum of the rows
            centered = np.column_stack([np.sqrt(raised) * root, centered])
        R = qr(centered.T, mode="r", overwrite_a=True, check_finite=False)[0][: len(root)]
        _, values, rotation = svd(R, full_matrices=False, check_finite=False)
        return rotation.T, values**2


def ordered(function, parts, threads):
    """Yields (part, function(part)) in order, computed by several threads."""
    if threads < 2:
        yield from ((part, function(part)) for part in parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(parts), 4 * threads):
            some = parts[begin : begin + 4 * threads]
            yield from zip(some, pool.map(function, some), strict=True)
