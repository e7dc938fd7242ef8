"""The contract that all estimators share, whatever they train: scikit-learn's, from users'
parameters and data to checked ones.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_is_fitted,
    validate_data,
)

from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.data import (
    check_compressed,
    distinct_columns,
    is_plain,
    is_plain_csr,
    is_plain_target,
)
from fastgd.problem.problem import Samples
from fastgd.training.fit_callbacks import SupportsFitCallbacks

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array

# Rows with less than this share of the largest sample weight are ignored. Their losses are about
# 10^14 times smaller than the rounding error of the sum, but a column that only they have would be
# tiny.
NEGLIGIBLE_WEIGHT = 2.0**-100


def _is_not_numeric(array):
    """Whether an array cannot be read as numbers."""
    try:
        np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False


def is_dask(X):
    """Whether X is computed by dask; xarray's arrays may be, or not."""
    graph = getattr(X, "__dask_graph__", None)
    return graph is not None and graph() is not None


@contextmanager
def unchanged_on_error(estimator):
    """Restore an estimator's attributes after an error, but not after an interrupt that has
    published a model.
    """
    known = dict(vars(estimator))
    epochs = len(known["history_"]["loss"]) if "history_" in known else 0
    try:
        yield
    except BaseException as error:
        has_published = vars(estimator).get("history_") is not known.get("history_")
        if isinstance(error, KeyboardInterrupt) and has_published:
            raise
        vars(estimator).clear()
        vars(estimator).update(known)
        # A stream changes its state in place.
        if hasattr(known.get("_state"), "roll_back"):
            known["_state"].roll_back()
        for values in known.get("history_", {}).values():
            del values[epochs:]
        raise


# The models that `fastgd.dask` has.
ON_DASK = (
    "LinearRegression Ridge RidgeClassifier Lasso ElasticNet LogisticRegression LinearSVC "
    "LinearSVR SGDClassifier SGDRegressor"
).split()


@contextmanager
def about(name):
    """Have errors say which argument they are about."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


class Model(SupportsFitCallbacks, BaseEstimator):
    """What all estimators do with users' parameters and data, before anything is trained and around
    it.
    """

    # attributes of a fitted model
    n_features_in_: int
    feature_names_in_: Array
    n_iter_: int
    best_epoch_: int
    stop_reason_: str
    history_: dict[str, list[Any]]

    # what a model has no parameter for
    early_stopping, warm_start, verbose, max_seconds, n_jobs = False, False, 0, None, None
    # Whether a fit needs the sums of squares of all columns, which a first pass over chunks can
    # bring; and whether chunks of few rows had better be held in memory.
    _needs_moments, _holds_few_rows = False, False

    @property
    def loss_curve_(self) -> list[float]:
        """The loss of each epoch: ``history_["loss"]``."""
        check_is_fitted(self)
        return self.history_["loss"]

    def to_sklearn(self) -> BaseEstimator:
        """scikit-learn's fitted estimator with the same predictions.

        It has the parameters that both know. Those that scikit-learn lacks or refuses have its
        defaults, and a solver that scikit-learn could not use is replaced. Most models have a twin
        of the same name. Of `SGDClassifier` the twin of the loss 'softmax' is `LogisticRegression`;
        of `SGDRegressor` that of 'quantile' is `QuantileRegressor`, of 'poisson'
        `PoissonRegressor`, whose `score` is D^2, and of a custom loss or several targets
        `LinearRegression`. An offset is 0, as in `predict`.

        Returns
        -------
        twin : estimator
            A fitted estimator of scikit-learn, which needs no fastgd. Its arrays are copies.

        Raises
        ------
        NotFittedError
            The model has not been fitted.
        TypeError
            scikit-learn has no such model: it has no recommender.
        ValueError
            scikit-learn has no such activation, or several targets of the loss 'poisson'.

        See Also
        --------
        fastgd.from_sklearn : The way back.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from fastgd import LogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> twin = LogisticRegression().fit(X, y).to_sklearn()
        >>> type(twin).__module__, round(twin.score(X, y), 2)
        ('sklearn.linear_model._logistic', 0.96)
        """
        # Slow to import, and rarely needed.
        from fastgd.estimators import twins

        return twins.to_sklearn(self)

    def __getstate__(self):
        state = super().__getstate__()
        if not self.warm_start:
            state.pop("_resumption", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- from users' data to a problem ----

    def _check_X(self, X, reset, ensure_finite=True, **others):
        """X, or with y=... (X, y), validated by scikit-learn's `validate_data`, which plain arrays
        can skip.

        With ensure_finite=False the caller checks whether a plain X is finite.
        """
        has_y, is_many = "y" in others, others.get("multi_output", False)
        check_compressed(X)
        if (is_plain(X, ensure_finite) or is_plain_csr(X, ensure_finite)) and (
            not has_y or is_plain_target(others["y"], X.shape[0], is_many)
        ):
            if reset:
                self.n_features_in_ = X.shape[1]
                vars(self).pop("feature_names_in_", None)
            if X.shape[1] == self.n_features_in_ and not hasattr(self, "feature_names_in_"):
                return (X, others["y"]) if has_y else X
        if isinstance(X, ChunkedRows):  # checked chunk by chunk
            if not has_y:
                return X
            if others["y"] is None:
                raise ValueError(
                    f"This {type(self).__name__} estimator requires y to be passed, but the chunks "
                    "hold none."
                )
            numeric = others.get("y_numeric", False)
            return X, _check_y(others["y"], is_many, numeric, estimator=self)
        if is_dask(X):
            name = type(self).__name__
            twin = f"use fastgd.dask.{name}, or " if name in ON_DASK else ""
            raise TypeError(
                f"X is a dask collection: {twin}give {name} X.compute() or, if it takes chunks, "
                "Chunks.of(X, y)"
            )
        others |= {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": "C"}
        try:
            # `validate_data` may sum infinities of both signs.
            with np.errstate(invalid="ignore"):
                return validate_data(self, X, reset=reset, **others)
        except (TypeError, ValueError) as error:
            # Name the argument if NumPy could not convert it.
            if "could not convert" not in str(error) and "argument must be" not in str(error):
                raise
            name = "X" if _is_not_numeric(X) else "y"
            raise type(error)(f"{name} must hold numbers: {error}") from error

    def _see_columns(self, number, names, reset):
        """Store number and names of columns of rows that are not in memory, or compare them."""
        if not reset:
            if number != self.n_features_in_:
                raise ValueError(
                    f"X has {number} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input"
                )
            known = getattr(self, "feature_names_in_", None)
            if known is not None and names is not None and list(names) != list(known):
                raise ValueError(
                    "The feature names should match those that were passed during fit: "
                    f"{list(names)} instead of {list(known)}"
                )
            return
        self.n_features_in_ = number
        vars(self).pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)

    def _sample_weight(self, sample_weight, X, name="sample_weight"):
        if sample_weight is None:
            return None
        options = {"ensure_non_negative": True, "allow_all_zero_weights": True}
        with about(name):
            return _check_sample_weight(sample_weight, X, dtype=np.float64, **options)

    def _held_out(self, dtype, X_val=None, y_val=None, sample_weight_val=None):
        """The user's validation data, checked like `X` and `y`; None if there are none."""
        if X_val is y_val is sample_weight_val is None:
            return None
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            name = next(name for name, value in given.items() if value is not None)
            raise ValueError(f"{name} is provided, but {missing} was not provided.")
        with about("X_val"):
            X_val = distinct_columns(self._check_X(X_val, reset=False)).astype(dtype, copy=False)
        with about("y_val"):
            labels, targets = self._check_y_val(y_val)
            check_consistent_length(X_val, labels)
        weights = self._sample_weight(sample_weight_val, X_val, "sample_weight_val")
        with about("sample_weight_val"):
            self._rows_that_count(weights, X_val.shape[0])
        return Samples(X_val, labels, targets, weights)

    def _rows_that_count(self, weights, n):
        """The indices of the rows of positive weight, except `NEGLIGIBLE_WEIGHT` ones."""
        if weights is None:
            return np.arange(n)
        rows = np.flatnonzero(weights > NEGLIGIBLE_WEIGHT * weights.max(initial=0.0))
        if not len(rows):
            raise ValueError(
                "Sample weights must contain at least one non-zero number: sample_weight (times "
                "class_weight) is 0 for every row."
            )
        return rows

    def _split(self, data, held_out, random_state):
        """(training rows, validation rows) of the rows that count."""
        kept, labels = self._rows_that_count(data.weights, data.X.shape[0]), data.labels
        if not self.early_stopping or held_out is not None:
            return kept, kept[:0]
        # Slow to import, and rarely needed.
        from sklearn.model_selection import train_test_split

        share = self.validation_fraction
        strata = labels[kept] if is_classifier(self) and labels.ndim == 1 else None
        options = {"test_size": share, "random_state": random_state, "stratify": strata}
        try:
            train_rows, held_out = train_test_split(kept, **options)
        except ValueError as error:
            raise ValueError(
                f"early_stopping with validation_fraction={share} cannot split {len(kept)} rows: "
                f"{error}"
            ) from error
        # One row has no R^2.
        if is_regressor(self) and len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                f"your dataset: validation_fraction={share} of {len(kept)} rows is {len(held_out)}."
            )
        in_order = isinstance(data.X, ChunkedRows)
        return np.sort(train_rows), np.sort(held_out) if in_order else held_out
