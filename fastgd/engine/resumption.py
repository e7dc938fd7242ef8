"""What a fit with `warm_start` leaves, so that one in which nothing has changed goes on exactly."""
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fastgd.kernels.digest import xxh64

from .training import Position

FREE = ("max_iter", "max_seconds", "tol", "verbose", "n_jobs")  # parameters that may change in between


def fingerprint(*arrays):
    """Shape, dtype and hash of each array, dense or CSR, or None: the same, in every process, where they hold the same."""
    parts = []
    for array in arrays:
        for part in (array.data, array.indices, array.indptr) if sparse.issparse(array) else (array,):
            part = None if part is None else np.ascontiguousarray(part)
            parts.append(part if part is None else (part.shape, part.dtype.str, xxh64(part.reshape(-1).view(np.uint8))))
    return tuple(parts)


def fixed_parameters(estimator):
    """Those that must not change."""
    return {name: value for name, value in estimator.get_params(deep=False).items() if name not in FREE}


def is_same(value, other):
    """Whether a parameter is: a generator, which moves on as it is drawn from, if it is the same one."""
    return value is other or (type(value) is type(other) and bool(np.all(value == other)))


@dataclass(frozen=True)
class Resumption:
    """`data` and `model` are fingerprints, of what was trained on and of the result; `random_state` is the number once drawn."""

    parameters: dict
    data: tuple
    model: tuple
    random_state: int
    position: Position

    @classmethod
    def of(cls, estimator, data, random_state, position):
        model = fingerprint(estimator.coef_, estimator.intercept_)
        return cls(fixed_parameters(estimator), data, model, random_state, position)

    def fits(self, estimator, data):
        """Whether nothing has changed since: data, the model itself, parameters."""
        return ((self.data, self.model) == (data, fingerprint(estimator.coef_, estimator.intercept_))
                and all(is_same(value, self.parameters[name]) for name, value in fixed_parameters(estimator).items()))
