"""What all classifiers do with labels, and all regressors with targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin

from fastgd.estimators.chunked_data import by_chunks

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array, Matrix


class Labels(ClassifierMixin):
    """Base of classifiers: two classes have one output, +1 for the second; more have one each."""

    def _check_classes(self, classes, goes_on):
        """Refuse a single class, and others than those of the fit that goes on."""
        if goes_on and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {classes}"
            )
        if len(classes) < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {len(classes)} class. This "
                "solver needs samples of at least 2 classes in the data, but the data contains "
                f"only one class: {classes[0]!r}"
            )

    def _check_known(self, y, message):
        """Refuse labels of no known class."""
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"{message} {unknown}")

    def _targets(self, number):
        """What the kernels call classes: +1 and -1, or their numbers."""
        return 2.0 * number - 1.0 if len(self.classes_) == 2 else number.astype(np.float64)

    def _label(self, margins):
        """The label of the largest margin of each row."""
        is_binary = margins.shape[1] == 1
        return self.classes_[(margins[:, 0] > 0).astype(int) if is_binary else margins.argmax(1)]

    @by_chunks
    def predict_log_proba(self, X: Matrix) -> Array:
        """Logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class Values(MultiOutputMixin, RegressorMixin):
    """Base of regressors: one output per target; `_kind` is the class of the loss."""

    def _targets(self, y):
        """y as the kernels read it."""
        if y.dtype.kind not in "fiub":
            raise ValueError(f"y must hold numbers, got {y.dtype}")
        targets = np.ascontiguousarray(y, dtype=np.float64)
        if (targets < self._kind.least_target).any():
            raise ValueError(
                f"y must be >= 0 for loss={self.loss!r}, its least value is {targets.min()}"
            )
        return targets.ravel()
