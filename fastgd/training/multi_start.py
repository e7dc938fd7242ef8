"""Trainings of one problem from several starts."""

from math import isfinite

import numpy as np

from fastgd.problem.custom_loss import custom_errors
from fastgd.training.loop import INTERRUPTED, DivergedError


class MultiStart:
    """Trainings of one problem from several starts, in turn by epochs; the best has the lowest
    objective.

    If one of several diverges, it is dropped. `custom_function` is that of a custom loss, which may
    raise errors.
    """

    def __init__(self, trainings, fit_callbacks=None, custom_function=None):
        self.trainings = list(trainings)
        self._custom_function = custom_function
        self._losses = {}
        self._fit_callbacks = fit_callbacks

    @property
    def _going(self):
        return [training for training in self.trainings if training.reason == INTERRUPTED]

    # A diverging run overflows; its results are checked instead.
    @np.errstate(all="ignore")
    def run(self):
        """Run epochs until all trainings have ended, and let the methods finish.

        A KeyboardInterrupt is raised again once methods and histories are those of their last
        complete epochs.
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
        """The training with the lowest objective."""
        if len(self.trainings) == 1:
            return self.trainings[0]
        begun = [training for training in self.trainings if len(training.history)]
        return min(begun or self.trainings[:1], key=self._loss)

    def _loss(self, training):
        """The objective at the result of a training."""
        at = len(training.history), training.reason
        if self._losses.get(training, (None, None))[0] != at:
            loss = training.objective()
            self._losses[training] = at, loss if isfinite(loss) else np.inf
        return self._losses[training][1]

    def _round(self):
        """Run one epoch of each training that has not ended, and end those with a reason."""
        if self._fit_callbacks:
            self._fit_callbacks.begin_epoch(self.best)
        reasons, is_late = {}, False
        for training in self._going:
            reasons[training] = None if is_late else self._advance(training)
            is_late = is_late or training.is_late()
        is_stopped = self._fit_callbacks and self._fit_callbacks.end_epoch(self.best)
        for training, reason in reasons.items():
            if is_stopped and reason in (None, "max_iter"):
                reason = "callback"
            elif is_late:
                reason = reason or "max_seconds"
            if reason and training in self.trainings:
                training.end(reason)

    def _advance(self, training):
        """The reason why a training ends, or None."""
        try:
            with custom_errors(self._custom_function):
                return training.advance()
        except DivergedError:
            if len(self.trainings) == 1:
                raise
            self.trainings.remove(training)
            return "diverged"
