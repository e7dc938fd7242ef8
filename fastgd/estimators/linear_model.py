"""The contract that all linear estimators share: from parameters to an objective, from labels to a
training, and predictions.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators.base import Model
from fastgd.estimators.diagnostics import note_seed, warn_of_ignored
from fastgd.estimators.linear_fit import LinearFit
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.select_solver import is_automatic
from fastgd.kernels import batch
from fastgd.kernels.rows import Rows
from fastgd.methods.sparse_stream import SparseStream, columns_of
from fastgd.problem import passes
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.custom_loss import CustomFunction
from fastgd.problem.data import as_rows, is_surely_finite
from fastgd.problem.layout import pack
from fastgd.problem.losses import KINDS, Custom, LogLoss
from fastgd.problem.objective import Objective, penalty_parts

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array


class LinearModel(SparseCoefMixin, Model):
    """Linear models trained by gradient descent.

    A subclass turns y into the kernels' targets, says how many outputs there are, and shapes
    `coef_` (`_store`).
    """

    # attributes of a fitted model
    coef_: Array
    intercept_: Any  # a number or an array: it depends on the shape of y and on `fit_intercept`
    converged_: bool
    optimality_: float | None
    optimality_kind_: str | None
    solver_: str
    t_: int

    # what a model has no parameter for
    learning_rate, optimizer, batch_size, init = "auto", "sgd", "auto", "zeros"
    shuffle, average, n_restarts = True, False, 0
    random_state, positive = None, False
    _holds_few_rows = True  # there are methods for fewer rows than columns
    _expects_drift = True  # of a stream
    # Rows X and their margins, where a search has computed those of all models together.
    _known_margins = None, None
    draws_nothing = False  # whether no choice of parameters lets anything be drawn at random

    def __post_init__(self):
        if self.draws_nothing and self.random_state is not None:
            note_seed(self)

    def __sklearn_clone__(self):
        """A compiled loss cannot be copied: the clone has the same."""
        if isinstance(self.loss, str):
            return super().__sklearn_clone__()
        plain = copy(self)
        plain.loss = "squared_error"
        twin = clone(plain)
        twin.loss = self.loss
        return twin

    # ---- a stream of sparse rows ----

    @property
    def _is_trained(self):
        """Whether there are coefficients; those of a sparse stream need not be made for that."""
        return "coef_" in vars(self) or isinstance(vars(self).get("_state"), SparseStream)

    def _follow(self, state, dtype):
        """Use the model of a sparse stream; `coef_` is computed on first access."""
        intercept = state.intercept().astype(dtype, copy=False)
        self._store(np.empty((state.outputs, 0), dtype), intercept)
        vars(self).pop("coef_")
        self._dtype = np.dtype(dtype).str  # a plain type, which skops trusts

    if not TYPE_CHECKING:  # type checkers know the attributes above, and no others

        def __getattr__(self, name):
            if name == "coef_" and self._is_trained:
                twin = copy(vars(self))
                solution = self._state.solution()
                self._store(*(part.astype(self._dtype, copy=False) for part in solution))
                self.__dict__ = twin | {"coef_": vars(self)["coef_"]}
                return vars(self)["coef_"]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _stream_margins(self, X):
        """`_margins` of a few sparse rows by a stream that has them: the work of their own
        columns.
        """
        rows = as_rows(X)
        columns = columns_of(rows, np.arange(X.shape[0]))
        indices, indptr = rows.owners
        coef, intercept = (part.astype(self._dtype) for part in self._state.solution(columns))
        indices = np.searchsorted(columns, indices[: indptr[-1]]).astype(indices.dtype)
        rows = Rows(rows.values, indices, indptr, (X.shape[0], len(columns)))
        out = np.empty(X.shape[0] * len(coef))
        batch.margins(rows, pack(coef, intercept, X.dtype, True), len(coef), out, 1)
        return out.reshape(-1, len(coef)).astype(X.dtype, copy=False)

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_known_margins", None)
        if isinstance(state.get("_state"), SparseStream):
            state["coef_"], state["_state"] = self.coef_, copy(state["_state"])
        return state

    def _defers_finiteness(self, sample_weight):
        """Whether training finds numbers that are not finite by itself, in its first pass over X:
        it goes over all rows, unless some have a weight of 0 or are held out.
        """
        is_weighted = sample_weight is not None or getattr(self, "class_weight", None) is not None
        return is_automatic(self) and not (is_weighted or self.early_stopping)

    @property
    def _needs_moments(self):
        """Whether columns are scaled by sums of squares; least squares need other sums."""
        return self.loss != "squared_error" and getattr(self, "class_weight", None) is None

    def _penalty(self, outputs, total):
        """(l1, l2, exponent) of the `Objective`; `total` is the sum of the rows' weights."""
        return *penalty_parts(self.penalty, self.alpha, self.l1_ratio), 0

    def _objective(self, outputs, one_vs_rest, total):
        """The objective; `total` is the sum of the rows' weights."""
        l1, l2, exponent = self._penalty(outputs, total)
        loss = self._loss(outputs)
        return Objective(
            loss,
            l1,
            l2,
            outputs,
            one_vs_rest,
            self.fit_intercept,
            positive=self.positive,
            is_degenerate=loss.has_trivial_minimum,
            exponent=exponent,
        )

    def _loss(self, outputs):
        """The loss of a model with this number of outputs."""
        if not isinstance(self.loss, str):
            return Custom(function=CustomFunction(self.loss))
        kind = KINDS[self.loss]
        # Of two classes it is the logistic loss of their difference.
        if kind.is_joint and outputs == 1:
            return LogLoss()
        return kind(float(getattr(self, kind.parameter)) if kind.parameter else 0.0)

    def _train(self, *data, **others):
        """Train on checked data and store the model; the arguments are those of a `LinearFit`."""
        warn_of_ignored(self)
        return LinearFit(self, *data, **others).run()

    def _learnt(self):
        """The learnt parameters."""
        return self.coef_, self.intercept_

    def _goes_on_from_coefficients(self, init=(None, None), **others):
        """Whether a fit takes any from the last one; `init` may hold others to start from."""
        takes = init[0] is None or (self.fit_intercept and init[1] is None)
        return self.warm_start and hasattr(self, "coef_") and takes

    def _certify(self, problem, coef, intercept, method):
        """Store what an estimator tells of the distance to the minimum besides `optimality_`.

        `method` has found the model; None: it is where training was to begin.
        """

    def _margins(self, X):
        """W x + b for the rows of X, shape (n, outputs)."""
        rows, margins = self._known_margins
        if rows is not None and rows is X:
            return margins
        # The search of `check_is_fitted` takes as long as the rest.
        if not self._is_trained:
            check_is_fitted(self)
        X = self._check_X(X, reset=False, ensure_finite=False)
        if "coef_" not in vars(self) and sparse.issparse(X) and X.nnz < X.shape[1]:
            return self._stream_margins(X)
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        outputs = len(np.atleast_2d(coef))
        is_sparse = X.sparse if isinstance(X, ChunkedRows) else sparse.issparse(X)
        theta = pack(coef, np.full(outputs, self.intercept_), X.dtype, is_sparse)
        out, threads = np.empty(X.shape[0] * outputs), thread_count(self.n_jobs)
        passes.margins(passes.rows_of(X), theta, outputs, out, threads)
        if not is_surely_finite(out):  # as it is where X is not: looking here saves a pass over X
            self._check_X(X, reset=False)
        return out.reshape(-1, outputs).astype(X.dtype, copy=False)
