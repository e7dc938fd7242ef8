"""Models that come from scikit-learn; the estimators' method `to_sklearn` is the way back."""

from typing import Any

from sklearn.base import BaseEstimator

import fastgd
from fastgd.estimators import twins


def from_sklearn(estimator: BaseEstimator) -> Any:
    """fastgd's estimator with the parameters and the coefficients of one of scikit-learn.

    A fitted estimator gives a fitted one with the same predictions. If it has ``warm_start=True``,
    `fit` starts from these coefficients, and so does `partial_fit` of models that have it.
    Attributes that describe a fit of fastgd, such as `optimality_` and `history_`, come with the
    next fit.

    Parameters
    ----------
    estimator : estimator
        One of the estimators of scikit-learn that fastgd has too, fitted or not. Of a pipeline,
        give its step: ``pipeline.set_params(ridge=from_sklearn(pipeline["ridge"]))``.

    Returns
    -------
    model : estimator
        fastgd's estimator of the same name. Its arrays are copies.

    Raises
    ------
    TypeError
        fastgd has no such estimator. The message lists those that it has.

    See Also
    --------
    Ridge.to_sklearn : The way back, of every estimator except `MatrixFactorization`.

    Notes
    -----
    Parameters are not checked before `fit`, as in scikit-learn. The few values that fastgd refuses,
    such as ``max_iter=0``, are on the page about differences from scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn import linear_model
    >>> from fastgd import from_sklearn
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> theirs = linear_model.LogisticRegression(max_iter=10_000).fit(X, y)
    >>> ours = from_sklearn(theirs)
    >>> type(ours).__module__, bool((ours.predict(X) == theirs.predict(X)).all())
    ('fastgd.linear', True)
    """
    return twins.from_sklearn(estimator, getattr(fastgd, twins.sklearn_name(estimator)))
