"""The learning-rate range test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import _safe_indexing, check_random_state, indexable

from fastgd.methods.schedules import Constant
from fastgd.training.loop import DivergedError

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array, Matrix

# The test ends at a loss of more than this multiple of the first one, which is clearly past the
# rates that train.
MAX_LOSS_RATIO = 4.0


def learning_rate_range(
    estimator: Any,
    X: Matrix,
    y: Matrix,
    low: float = 1e-6,
    high: float = 10.0,
    *,
    n_steps: int = 100,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Array, Array]:
    """Learning-rate range test: the losses of a model while its rate increases from `low` to
    `high`.

    A clone of the estimator is trained by `partial_fit` on one random part of the rows after the
    other, each at a rate that is larger by the same factor. The loss falls when the rate is large
    enough, and rises when it is too large; good rates are a little smaller than those at which it
    falls fastest. The test ends early if training diverges, or at a loss of more than four times
    the first one.

    Parameters
    ----------
    estimator : estimator with `partial_fit`, `learning_rate` and `history_`
        The estimator to test. It is not changed.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.
    y : array-like of shape (n_samples,)
        Labels or targets.
    low, high : float, default=1e-6 and 10
        First and last rate, 0 < low < high.
    n_steps : int, default=100
        Number of rates, at least 2.
    random_state : int, RandomState instance or None, default=None
        Seed of the test and of its clone; that of the estimator is not used.

    Returns
    -------
    rates : ndarray of shape (n,)
        Rates in geometric progression, n <= `n_steps`.
    losses : ndarray of shape (n,)
        The mean loss of each rate's rows, plus the penalty.

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastgd import SGDClassifier, learning_rate_range
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SGDClassifier("log_loss", batch_size=8)
    >>> rates, losses = learning_rate_range(model, X, y, 1e-4, 1.0, n_steps=20, random_state=0)
    >>> bool(losses.min() < losses[0])
    True
    """
    if not 0 < low < high < np.inf:
        raise ValueError(
            f"low and high must be finite, with 0 < low < high, got {low!r} and {high!r}"
        )
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps!r}")
    X, y = indexable(X, y)
    model, labels = clone(estimator), {"classes": np.unique(y)} if is_classifier(estimator) else {}
    random = check_random_state(random_state)
    model.set_params(random_state=int(random.randint(np.iinfo(np.int32).max)))
    parts = _parts(model, len(y), n_steps, random)
    rates, losses = np.geomspace(low, high, n_steps), []
    for rate, part in zip(rates, parts, strict=True):
        try:
            model.set_params(learning_rate=Constant(float(rate)))
            model.partial_fit(_safe_indexing(X, part), _safe_indexing(y, part), **labels)
        except DivergedError:
            break
        losses.append(model.history_["loss"][-1])
        if not losses[-1] <= MAX_LOSS_RATIO * losses[0]:
            break
    return rates[: len(losses)], np.array(losses)


def _parts(model, n, n_steps, random):
    """The row numbers of each step: all rows for a full batch, otherwise whole batches, in a new
    order in each pass.
    """
    size = model.batch_size if isinstance(model.batch_size, int) else n
    size = min(n, -(-max(size, n // n_steps) // size) * size)
    order = np.concatenate([random.permutation(n) for _ in range(-(-size * n_steps // n))])
    return order[: size * n_steps].reshape(n_steps, size)
