"""Conversion of users' labels and targets to the kernels' numbers, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y

from fastgd.estimators.chunked_data import NO_ROWS, TakesChunks, by_chunks, opened
from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.parameters import available_if
from fastgd.estimators.targets import Labels, Values
from fastgd.problem.losses import kind_of
from fastgd.problem.problem import Samples

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array, Matrix


def _has_probabilities(model):
    if not kind_of(model.loss).has_probabilities:
        raise AttributeError(f"probability estimates are not available for loss={model.loss!r}")
    return True


def _are_whole_numbers(y):
    """Whether y holds whole numbers, which are labels whatever else they may be."""
    return y.dtype.kind in "iub" or (y.dtype.kind == "f" and bool((y == np.rint(y)).all()))


class Classifier(TakesChunks, Labels, LinearModel):
    """Base of linear classifiers."""

    class_weight = None

    def _fit(self, X, y, sample_weight, **others):
        """Train from the start on labels of whatever classes there are."""
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        X, y, sample_weight = opened(self, X, y, sample_weight)
        ensure_finite = not self._defers_finiteness(sample_weight)
        X, y = self._check_X(X, reset=True, ensure_finite=ensure_finite, y=y)
        if not _are_whole_numbers(y):
            check_classification_targets(y)
        classes = np.unique(y)
        self._check_classes(classes, self._goes_on_from_coefficients(**others))
        self.classes_ = classes
        return self._fit_labels(X, y, sample_weight, fit_callbacks=fit_callbacks, **others)

    def _fit_labels(self, X, y, sample_weight, validation=NO_ROWS, partial=False, **others):
        """Train on labels of the known classes."""
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        number = np.searchsorted(self.classes_, y)
        weights = self._sample_weight(sample_weight, X)
        held_out = self._held_out(X.dtype, *opened(self, *validation, reset=False))
        if self.class_weight is not None:
            factor, divisor = self._class_factors(number, weights, partial)
            # In this order no factor / divisor overflows.
            weights = (1 if weights is None else weights) / divisor[number] * factor[number]
            if held_out is not None:
                label, own = np.searchsorted(self.classes_, held_out.labels), held_out.weights
                held_out.weights = (1 if own is None else own) / divisor[label] * factor[label]
        others |= {"held_out": held_out, "partial": partial}
        data = Samples(X, y, self._targets(number), weights)
        del number  # as long as the rows
        return self._train(data, outputs, outputs > 1, **others)

    def _class_factors(self, number, weights, partial):
        """(a, b) such that a / b are the classes' weights; `number` holds the rows' classes.

        Balanced ones are inversely proportional to the classes' weight in all rows seen so far, and
        0 for a class not seen yet.
        """
        if self.class_weight != "balanced":
            given = np.array(list(self.class_weight.values()), dtype=float)
            if not (np.isfinite(given) & (given >= 0)).all():
                raise ValueError(f"class_weight must be finite and >= 0, got {self.class_weight}")
            classes, y = self.classes_, self.classes_[number]
            factor = compute_class_weight(self.class_weight, classes=classes, y=y)
            return factor, np.ones(len(classes))
        totals = np.bincount(number, weights, len(self.classes_))
        if partial:
            totals = totals + getattr(self, "_class_totals", 0.0)
        self._class_totals, seen = totals, totals > 0
        return np.where(seen, totals.sum() / seen.sum(), 0.0), np.where(seen, totals, 1.0)

    def _check_y_val(self, y):
        """(labels, targets) of validation data."""
        y = _check_y(y)
        self._check_known(y, "y_val contains labels that are not in y:")
        return y, self._targets(np.searchsorted(self.classes_, y))

    def _store(self, coef, intercept):
        self.coef_, self.intercept_ = coef, intercept

    @by_chunks
    def decision_function(self, X: Matrix) -> Array:
        """Margins ``X W' + b``: shape (n_samples,) for two classes, positive for ``classes_[1]``;
        else (n_samples, n_classes).
        """
        margins = self._margins(X)
        return margins[:, 0] if margins.shape[1] == 1 else margins

    @by_chunks
    def predict(self, X: Matrix) -> Array:
        """The label of the largest margin for each row, shape (n_samples,)."""
        return self._label(self._margins(X))

    @available_if(_has_probabilities)
    @by_chunks
    def predict_proba(self, X: Matrix) -> Array:
        """Probabilities of the classes, shape (n_samples, n_classes), for the losses 'log_loss',
        'softmax' and 'modified_huber'.

        For more than two classes 'log_loss' and 'modified_huber' scale the one-vs-rest
        probabilities to sum to one (evenly where all are zero).
        """
        return self._probabilities(self._margins(X))

    def _probabilities(self, margins):
        """`predict_proba` of margins (n, outputs)."""
        loss = self._loss(margins.shape[1])
        positive = loss.probability(margins)
        if loss.is_joint:
            return positive
        if positive.shape[1] == 1:
            return np.hstack([1 - positive, positive])
        total = positive.sum(axis=1, keepdims=True)
        return np.where(total > 0, positive / np.where(total > 0, total, 1), 1 / positive.shape[1])

    predict_log_proba = available_if(_has_probabilities)(Labels.predict_log_proba)


class Regressor(TakesChunks, Values, LinearModel):
    """Base of linear regressors."""

    # Whether y may have several columns.
    _takes_many = True

    @property
    def _kind(self):
        return kind_of(self.loss)

    def _fit(self, X, y, sample_weight, **others):
        """Train from the start."""
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        X, y, sample_weight = opened(self, X, y, sample_weight)
        others |= {"fit_callbacks": fit_callbacks}
        others |= {"ensure_finite": not self._defers_finiteness(sample_weight)}
        return self._fit_targets(X, y, sample_weight, True, **others)

    def _fit_targets(
        self, X, y, sample_weight, reset, validation=NO_ROWS, ensure_finite=True, **others
    ):
        kind = {"y": y, "y_numeric": True, "multi_output": self._takes_many}
        X, y = self._check_X(X, reset=reset, ensure_finite=ensure_finite, **kind)
        targets = self._targets(y)
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if reset and self._goes_on_from_coefficients(**others):
            earlier = np.atleast_2d(self.coef_).shape[0]
            if outputs != earlier:
                raise ValueError(
                    "warm_start can only be used where `y` has as many targets as in the previous "
                    f"call to fit. Previously got {earlier}, `y` has {outputs}"
                )
        if not reset and outputs != len(self.intercept_):
            raise ValueError(
                f"y has {outputs} targets, but the model was fitted on {len(self.intercept_)}"
            )
        self._one_target = y.ndim == 1
        weights = self._sample_weight(sample_weight, X)
        held_out = self._held_out(X.dtype, *opened(self, *validation, reset=False))
        if held_out is not None and held_out.labels.shape[1:] != y.shape[1:]:
            raise ValueError(
                f"y_val has shape {held_out.labels.shape}, y {y.shape}: as many targets are needed"
            )
        others["held_out"] = held_out
        return self._train(Samples(X, y, targets, weights), outputs, False, **others)

    def _checked(self, X, y, sample_weight):
        """(`Samples`, number of outputs) of rows in memory."""
        X, y = self._check_X(X, reset=True, y=y, y_numeric=True, multi_output=self._takes_many)
        targets, self._one_target = self._targets(y), y.ndim == 1
        outputs = 1 if self._one_target else y.shape[1]
        return Samples(X, y, targets, self._sample_weight(sample_weight, X)), outputs

    def _check_y_val(self, y):
        """(labels, targets) of validation data."""
        y = _check_y(y, multi_output=self._takes_many, y_numeric=True)
        return y, self._targets(y)

    def _store(self, coef, intercept):
        self.coef_, self.intercept_ = coef[0] if self._one_target else coef, intercept

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._takes_many
        return tags

    @by_chunks
    def predict(self, X: Matrix) -> Array:
        """Predicted targets: shape (n_samples,) or (n_samples, n_targets)."""
        prediction = self._kind.mean(self._margins(X))
        return prediction[:, 0] if self.coef_.ndim == 1 else prediction
