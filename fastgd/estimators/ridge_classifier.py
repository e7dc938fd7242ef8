"""Classifiers that regress +1 for the class of a row and -1 for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_consistent_length
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d

from fastgd.estimators.base import about
from fastgd.estimators.chunked_data import NO_ROWS, by_chunks, opened
from fastgd.estimators.supervised import Classifier
from fastgd.problem.problem import Samples

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array, Matrix


class SignClassifier(Classifier):
    """Base of classifiers by least squares, of one label per row or of several."""

    _has_many_labels = False

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _fit(self, X, y, sample_weight, validation=NO_ROWS):
        """Train from the start."""
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        X, y, sample_weight = opened(self, X, y, sample_weight)
        X, y, signs, weights = self._signs(X, y, sample_weight)
        held_out = self._held_out(X.dtype, *opened(self, *validation, reset=False))
        if held_out is not None and self.class_weight:
            own = compute_sample_weight(self.class_weight, held_out.labels)
            held_out.weights = own if held_out.weights is None else own * held_out.weights
        others = {"held_out": held_out, "fit_callbacks": fit_callbacks}
        return self._train(Samples(X, y, signs.ravel(), weights), signs.shape[1], False, **others)

    def _signs(self, X, y, sample_weight):
        """(X, labels, +1 and -1 (n, outputs), weights), checked; stores the classes."""
        X, y = self._check_X(X, reset=True, y=y, multi_output=True)
        check_classification_targets(y)
        check_consistent_length(X, y)
        if np.ndim(y) == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._binarizer = LabelBinarizer(pos_label=1, neg_label=-1).fit(y)
        self._has_many_labels = self._binarizer.y_type_.startswith("multilabel")
        self.classes_ = self._binarizer.classes_
        weights = self._sample_weight(sample_weight, X)
        if self.class_weight:
            own = compute_sample_weight(self.class_weight, y)
            weights = own if weights is None else own * weights
        return X, y, self._as_signs(y), weights

    def _as_signs(self, y):
        return np.ascontiguousarray(self._binarizer.transform(y), dtype=float)

    def _check_y_val(self, y):
        """(labels, targets) of validation data."""
        y = _check_y(y, multi_output=True)
        with about("y_val"):
            if not self._has_many_labels:
                self._check_known(y, "y_val contains labels that are not in y:")
            return y, self._as_signs(y).ravel()

    @by_chunks
    def predict(self, X: Matrix) -> Array:
        """The label of the largest margin for each row, shape (n_samples,); of several labels those
        of positive margins, shape (n_samples, n_labels).
        """
        check_is_fitted(self)
        return self._label(self._margins(X))

    def _label(self, margins):
        if self._has_many_labels:
            return self._binarizer.inverse_transform(np.where(margins > 0, 1.0, -1.0))
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(margins))
        return super()._label(margins)
