"""The state of a fit with `warm_start`, which a fit on the same data continues bit by bit."""

import numpy as np
from scipy import sparse

from fastgd.kernels.digest import xxh64
from fastgd.problem.records import Record
from fastgd.training.history import copy_of
from fastgd.training.loop import INTERRUPTED, ResumePoint

# Parameters that may change in between.
FREE_PARAMETERS = ("max_iter", "max_seconds", "tol", "verbose", "n_jobs")


def fingerprint(*arrays):
    """Shape, dtype and hash of each array, dense, CSR, in chunks or None: equal in every process if
    the arrays are.
    """
    found = ()
    for array in arrays:
        if hasattr(array, "fingerprint"):
            found += array.fingerprint
        elif sparse.issparse(array):
            found += tuple(map(_digest, (array.data, array.indices, array.indptr)))
        else:
            found += (None if array is None else _digest(array),)
    return found


def _digest(array):
    array = np.ascontiguousarray(array)
    return array.shape, array.dtype.str, xxh64(array.reshape(-1).view(np.uint8))


def fixed_parameters(estimator):
    """The parameters that must not change."""
    parameters = estimator.get_params(deep=False)
    return {name: parameters[name] for name in parameters if name not in FREE_PARAMETERS}


def is_same(value, other):
    """Whether a parameter is unchanged; a generator, whose state changes, has to be the same
    object.
    """
    return value is other or (type(value) is type(other) and np.array_equal(value, other))


class Run(Record):
    """The resume point of a training, its history, and why it has ended."""

    resume_point: ResumePoint
    record: dict
    reason: str

    @property
    def is_over(self):
        """Whether it has ended by a stopping criterion, not by a limit."""
        return self.reason not in (INTERRUPTED, "max_iter", "max_seconds", "callback")


class Resumption(Record):
    """The state of a fit. `data` and `model` are fingerprints of the data and of the result;
    `random_state` is the seed that was drawn.

    `best` is the index of the run whose model was the result, `tol` that of the last fit.
    """

    parameters: dict
    data: tuple
    model: tuple
    random_state: int
    tol: float | None
    runs: tuple
    best: int

    @classmethod
    def of(cls, estimator, data, random_state, trainings, best):
        """The state of the trainings of a fit, of which `best` is the estimator's model."""
        model = fingerprint(*estimator._learnt())
        runs = tuple(
            Run(training.resume_point, copy_of(training.history.record), training.reason)
            for training in trainings
        )
        given, best = fixed_parameters(estimator), trainings.index(best)
        return cls(given, data, model, random_state, estimator.tol, runs, best)

    def fits(self, estimator, data):
        """Whether data, model and parameters are unchanged."""
        return (self.data, self.model) == (data, fingerprint(*estimator._learnt())) and all(
            is_same(value, self.parameters[name])
            for name, value in fixed_parameters(estimator).items()
        )

    def goes_on(self, run, tol):
        """Whether a run continues: one that has ended rests while others have not, unless `tol`
        has changed.
        """
        return not run.is_over or tol != self.tol or all(run.is_over for run in self.runs)
