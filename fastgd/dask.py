"""Linear models on dask collections: the same models as on one machine, trained where the data are.

The results of the partitions are added up in their order, so the bits depend neither on the number
of workers nor on what happens to them. The targets and some numbers for each row are held by the
client.
"""

from __future__ import annotations

import warnings
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import dask
import numpy as np
from distributed import default_client
from sklearn.metrics import accuracy_score, r2_score

from fastgd import linear, ridge, sgd
from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.placement import Placed, partitions_of

if TYPE_CHECKING:
    from typing import Self

    from distributed import Client

_Model = TypeVar("_Model")

__all__ = [
    "ElasticNet",
    "Lasso",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "Ridge",
    "RidgeClassifier",
    "SGDClassifier",
    "SGDRegressor",
]

# How long a call tries to reach a worker, which may be gone. Dask's default is 30 seconds.
CONNECT_TIMEOUT = "3s"


class _OnDask:
    """A linear model that trains on dask collections, and predicts lazily."""

    def _connected(self):
        """The client to use."""
        try:
            client = self.client or default_client()
        except ValueError as error:
            raise RuntimeError(
                f"fastgd.dask.{type(self).__name__} needs a cluster: make a distributed.Client, or "
                "set client"
            ) from error
        if client.status != "running":
            raise RuntimeError(f"the dask client is {client.status}")
        return client

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **others: Any) -> Self:
        """Train on dask arrays or data frames with the same partitions; see the local model.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features)
            Its blocks may be dense or CSR, of any sizes, also unknown ones.
        y : dask array, series or data frame of shape (n_samples,) or (n_samples, n_targets)
            Targets or labels.
        sample_weight : dask array or series of shape (n_samples,), default=None
            Weights of the rows, >= 0.
        **others
            Other arguments of the local model's `fit`, such as X_val and y_val in memory.

        Returns
        -------
        self
        """
        placed = Placed(self._connected(), X, y, sample_weight)
        with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_TIMEOUT}):
            try:
                return super().fit(placed, **others)
            finally:
                if placed.placement:
                    placed.placement.close()

    def predict(self, X: Any) -> Any:
        """Predictions, lazy for dask collections."""
        return self._lazily("predict", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy of labels, R^2 of values; a number."""
        if not hasattr(X, "dask"):
            return super().score(X, y, sample_weight)
        given = dask.compute(y, self.predict(X), sample_weight)
        y, predicted, sample_weight = (None if a is None else np.asarray(a) for a in given)
        score = accuracy_score if hasattr(self, "classes_") else r2_score
        return float(score(y, predicted, sample_weight=sample_weight))

    def _lazily(self, name, X):
        """The result of a method of the local model, for each partition."""
        local = self.to_local()
        method = getattr(local, name)
        if not hasattr(X, "dask"):
            return method(X)
        if hasattr(X, "map_blocks"):
            rows = np.zeros((1, self.n_features_in_), np.float32 if X.dtype == "f" else float)
        else:
            rows = X._meta_nonempty
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of names, which each partition gives too
            example = method(rows)
        if hasattr(X, "map_blocks"):
            X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
            if example.ndim == 1:
                return X.map_blocks(method, dtype=example.dtype, drop_axis=1, meta=example[:0])
            chunks = X.chunks[0], (example.shape[1],)
            return X.map_blocks(method, dtype=example.dtype, chunks=chunks, meta=example[:0])
        import pandas

        kind = pandas.Series if example.ndim == 1 else pandas.DataFrame
        meta = kind(example[:0])
        return X.map_partitions(_framed, method, kind, meta=meta)

    def to_local(self) -> Any:
        """The fitted model without dask, as `fastgd` has it."""
        kind = next(base for base in type(self).__mro__ if base.__module__ in LOCAL)
        parameters = self.get_params(deep=False)
        parameters.pop("client")
        local = kind(**parameters)
        vars(local).update({k: v for k, v in self.__getstate__().items() if k not in ("client",)})
        vars(local).pop("_sklearn_version", None)
        return local

    def __getstate__(self):
        """What is pickled: all but the client."""
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self):
        client, self.client = self.client, None
        try:
            return super().__sklearn_clone__()
        finally:
            self.client = client


class _Classifies(_OnDask):
    def decision_function(self, X: Any) -> Any:
        """Margins, lazy for dask collections."""
        return self._lazily("decision_function", X)


class _HasProbabilities(_Classifies):
    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, lazy for dask collections."""
        return self._lazily("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`."""
        return self._lazily("predict_log_proba", X)


def _framed(frame, method, kind):
    return kind(method(frame), index=frame.index)


LOCAL = ("fastgd.linear", "fastgd.ridge", "fastgd.sgd")


@dataclass_transform(eq_default=False, kw_only_default=True)
def _with_client(cls: type[_Model]) -> type[_Model]:
    """Give a class the parameters of its local model and `client`."""
    local = next(base for base in cls.__mro__ if base.__module__ in LOCAL)

    def __init__(self, *arguments, client=None, **parameters):  # noqa: N807
        local.__init__(self, *arguments, **parameters)
        self.client = client

    known = signature(local.__init__)
    client = Parameter("client", Parameter.KEYWORD_ONLY, default=None)
    __init__.__signature__ = known.replace(parameters=[*known.parameters.values(), client])
    cls.__init__ = __init__
    cls._parameter_constraints = local._parameter_constraints | {"client": "no_validation"}
    cls.__doc__ = (
        f"`fastgd.{local.__name__}` on dask collections, with the same parameters.\n\n"
        "    `client` is the distributed.Client to use; None: the current one.\n    "
    )
    return cls


@_with_client
class LinearRegression(_OnDask, linear.LinearRegression):
    client: Client | None = None


@_with_client
class Ridge(_OnDask, linear.Ridge):
    client: Client | None = None


@_with_client
class RidgeClassifier(_Classifies, ridge.RidgeClassifier):
    client: Client | None = None


@_with_client
class Lasso(_OnDask, linear.Lasso):
    client: Client | None = None


@_with_client
class ElasticNet(_OnDask, linear.ElasticNet):
    client: Client | None = None


@_with_client
class LogisticRegression(_HasProbabilities, linear.LogisticRegression):
    client: Client | None = None


@_with_client
class LinearSVC(_Classifies, linear.LinearSVC):
    client: Client | None = None


@_with_client
class LinearSVR(_OnDask, linear.LinearSVR):
    client: Client | None = None


class _SGDOnDask:
    def partial_fit(self, X: Any, y: Any = None, **others: Any) -> Self:
        """Train for one epoch on the partitions, one after the other, of dask collections."""
        if not hasattr(X, "dask"):
            return super().partial_fit(X, y, **others)
        sample_weight = others.pop("sample_weight", None)
        client = self._connected()
        with unchanged_on_error(self):
            for parts in partitions_of(X, y, sample_weight):
                X, y, sample_weight = client.gather(client.compute(list(parts)))
                is_empty = not len(y) or (sample_weight is not None and not np.any(sample_weight))
                if not is_empty:
                    super().partial_fit(X, np.asarray(y), sample_weight=sample_weight, **others)
        return self


@_with_client
class SGDClassifier(_SGDOnDask, _HasProbabilities, sgd.SGDClassifier):
    client: Client | None = None


@_with_client
class SGDRegressor(_SGDOnDask, _OnDask, sgd.SGDRegressor):
    client: Client | None = None
