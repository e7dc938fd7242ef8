"""What scikit-learn's callbacks, and the progress bar, are told of a fit."""

from sklearn.callback import CallbackSupportMixin

from fastgd.training.loop import DEFAULT_MAX_EPOCHS
from fastgd.training.progress import Progress


class FitCallbacks:
    """What scikit-learn's callbacks are told of: the fit, and each of its epochs as a task of its
    own.

    `attributes(training)` are those that would be fitted if that training stopped there; they are
    asked for by the callbacks that want a fitted estimator. Without `with_epochs` nobody wants to
    know of these.
    """

    def __init__(self, estimator, context, X, y, sample_weight, with_epochs):
        self._context, self.with_epochs = context, with_epochs
        # A fit that has to begin again, without columns that no float holds, may have more epochs.
        self._left = context.max_subtasks
        self._told = {
            "estimator": estimator,
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }

    def begin(self, attributes):
        self._attributes = attributes
        self._context.call_on_fit_task_begin(**self._told)

    def end(self, training):
        self._context.call_on_fit_task_end(
            **self._told, reconstruction_attributes=lambda: self._attributes(training)
        )

    def begin_epoch(self, best):
        """An epoch begins; `best()` is the training that counts."""
        self._epoch = None
        if not self._left:
            return
        self._left -= 1
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(
            **self._told, reconstruction_attributes=lambda: self._attributes(best())
        )

    def end_epoch(self, best):
        """An epoch is over; returns whether a callback wants training to stop."""
        if self._epoch is None:
            return False
        return self._epoch.call_on_fit_task_end(
            **self._told, reconstruction_attributes=lambda: self._attributes(best())
        )


class SupportsFitCallbacks(CallbackSupportMixin):
    """Estimators that tell scikit-learn's callbacks of their epochs."""

    def _tasks(self, X, y, sample_weight):
        """What tells scikit-learn's callbacks of a fit on these data; None: nobody wants to know.

        To be called before anything can fail, since callbacks are set up here, and `with_callbacks`
        sees them off.
        """
        given = vars(self).get("_skl_callbacks", [])
        if not (given or self.verbose or hasattr(self, "_parent_callback_ctx")):
            return None
        if self.verbose:
            self._skl_callbacks = [*given, Progress()]
        try:
            context = self._init_callback_context(max_subtasks=self.max_iter or DEFAULT_MAX_EPOCHS)
        finally:
            if self.verbose:
                self.set_callbacks(*given)
        return FitCallbacks(
            self, context, X, y, sample_weight, with_epochs=bool(given or self.verbose)
        )
