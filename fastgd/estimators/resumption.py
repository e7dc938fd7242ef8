"""What a fit with `warm_start` leaves, so that one in which nothing has changed goes on exactly."""

import numpy as np
from scipy import sparse

from fastgd.kernels.digest import xxh64
from fastgd.problem.records import Record
from fastgd.training.history import copy_of
from fastgd.training.loop import INTERRUPTED, ResumePoint

FREE = (
    "max_iter",
    "max_seconds",
    "tol",
    "verbose",
    "n_jobs",
)  # parameters that may change in between


def fingerprint(*arrays):
    """Shape, dtype and hash of each array, dense or CSR, or None: the same, in every process, where
    they hold the same.
    """
    parts = []
    for array in arrays:
        for part in (
            (array.data, array.indices, array.indptr) if sparse.issparse(array) else (array,)
        ):
            part = None if part is None else np.ascontiguousarray(part)
            parts.append(
                part
                if part is None
                else (part.shape, part.dtype.str, xxh64(part.reshape(-1).view(np.uint8)))
            )
    return tuple(parts)


def fixed_parameters(estimator):
    """Those that must not change."""
    return {
        name: value for name, value in estimator.get_params(deep=False).items() if name not in FREE
    }


def is_same(value, other):
    """Whether a parameter is: a generator, which moves on as it is drawn from, if it is the same
    one.
    """
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    return (
        np.array_equal(value, other)
        if isinstance(value, np.ndarray)
        else bool(np.all(value == other))
    )


class Run(Record):
    """Where a training stands, its history, and why it has ended."""

    resume_point: ResumePoint
    record: dict
    reason: str

    @property
    def is_over(self):
        """Whether it came to its own end."""
        return self.reason not in (INTERRUPTED, "max_iter", "max_seconds", "callback")


class Resumption(Record):
    """`data` and `model` are fingerprints, of what was trained on and of the result; `random_state`
    is the number once drawn.

    `best` is the number of the run whose model was the result, `tol` that of the last fit.
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
        """Where the trainings of a fit stand, of which `best` has made the estimator's model."""
        model = fingerprint(*estimator._learnt())
        runs = tuple(
            Run(training.resume_point, copy_of(training.history.record), training.reason)
            for training in trainings
        )
        return cls(
            fixed_parameters(estimator),
            data,
            model,
            random_state,
            estimator.tol,
            runs,
            trainings.index(best),
        )

    def fits(self, estimator, data):
        """Whether nothing has changed since: data, the model itself, parameters."""
        return (self.data, self.model) == (data, fingerprint(*estimator._learnt())) and all(
            is_same(value, self.parameters[name])
            for name, value in fixed_parameters(estimator).items()
        )

    def goes_on(self, run, tol):
        """Whether a run does: one that has come to its own end rests while others have not, unless
        `tol` is another.
        """
        return not run.is_over or tol != self.tol or all(run.is_over for run in self.runs)
