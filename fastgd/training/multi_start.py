"""Trainings of one problem from several starts."""

from math import isfinite

import numpy as np

from fastgd.problem.custom_loss import custom_errors
from fastgd.training.loop import INTERRUPTED, DivergedError


class MultiStart:
    """Trainings of one problem from several starts, an epoch of each at a time; the model is that
    of the lowest objective.

    One of several that diverges is left out. `tasks` tells callbacks; `own` is a loss of the user's
    that may raise errors.
    """

    def __init__(self, trainings, tasks=None, custom_function=None):
        self.trainings = list(trainings)
        self._custom_function = custom_function
        self._losses = {}
        self._tasks = tasks if tasks and tasks.with_epochs else None
        self._going = [training for training in trainings if training.reason == INTERRUPTED]

    @np.errstate(all="ignore")  # a diverging run overflows, and is told by what comes out
    def run(self):
        """Run epochs until enough is enough, and let the methods finish.

        A KeyboardInterrupt goes on when methods and histories are those of their last complete
        epochs.
        """
        try:
            while self._going:
                self._round()
        except KeyboardInterrupt:
            self._losses.clear()
            for training in self.trainings:
                training.restore()
            raise

    def best(self):
        """The training that counts."""
        if len(self.trainings) == 1:
            return self.trainings[0]
        return min(
            [training for training in self.trainings if len(training.history)]
            or self.trainings[:1],
            key=self._loss,
        )

    def _loss(self, training):
        """The objective at what a training has come to."""
        at = len(training.history), training.reason
        if self._losses.get(training, (None, None))[0] != at:
            loss = training.objective()
            self._losses[training] = at, loss if isfinite(loss) else np.inf
        return self._losses[training][1]

    def _round(self):
        """One epoch of every training that is under way."""
        if self._tasks:
            self._tasks.begin_epoch(self.best)
        reasons, is_late = [], False
        for training in self._going:
            reasons.append(None if is_late else self._advance(training))
            is_late = is_late or training.is_late()
        is_told = self._tasks and self._tasks.end_epoch(self.best)
        if is_told or is_late or any(reasons):
            self._end(reasons, "callback" if is_told else None, "max_seconds" if is_late else None)

    def _end(self, reasons, told, late):
        """End the trainings that have a reason of their own, or all."""
        for training, reason in zip(self._going, reasons, strict=True):
            reason = told if told and reason in (None, "max_iter") else reason or late
            if reason and training in self.trainings:
                training.end(reason)
        self._going = [
            training
            for training in self._going
            if training in self.trainings and training.reason == INTERRUPTED
        ]

    def _advance(self, training):
        """The reason why a training ends, or None."""
        try:
            if self._custom_function is None:
                return training.advance()
            with custom_errors(self._custom_function):
                return training.advance()
        except DivergedError:
            if len(self.trainings) == 1:
                raise
            self.trainings.remove(training)
            return "diverged"
