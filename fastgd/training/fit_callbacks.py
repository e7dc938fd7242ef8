"""The interface to scikit-learn's fit callbacks and the progress bar."""

from sklearn.callback import CallbackSupportMixin

from fastgd.training.loop import DEFAULT_MAX_EPOCHS
from fastgd.training.progress import Progress


def most_epochs(model):
    """The epochs of a fit, at most; not every model has a parameter for it."""
    return getattr(model, "max_iter", None) or DEFAULT_MAX_EPOCHS


class FitCallbacks:
    """Calls scikit-learn's callbacks for a fit, and for each of its epochs as a subtask.

    `attributes(training)` returns the attributes of the estimator if that training stopped now, for
    callbacks that need a fitted estimator. Without `with_epochs` no callback follows the epochs.
    """

    def __init__(self, estimator, context, X, y, sample_weight, with_epochs):
        self._context = context
        # A fit that restarts without columns whose weights no float holds may have more epochs.
        self._left = context.max_subtasks if with_epochs else 0
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    def begin(self, attributes):
        self._attributes = attributes
        self._context.call_on_fit_task_begin(**self._arguments)

    def end(self, training):
        self._context.call_on_fit_task_end(**self._fitted(lambda: training))

    def _fitted(self, best):
        """The arguments for callbacks that need a fitted estimator; `best()` is its training."""
        return self._arguments | {"reconstruction_attributes": lambda: self._attributes(best())}

    def begin_epoch(self, best):
        """Begin an epoch; `best()` returns the best training."""
        self._epoch = None
        if self._left:
            self._left -= 1
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._fitted(best))

    def end_epoch(self, best):
        """End an epoch; return whether a callback stops the training."""
        is_followed = self._epoch is not None
        return is_followed and self._epoch.call_on_fit_task_end(**self._fitted(best))


class SupportsFitCallbacks(CallbackSupportMixin):
    """Base class of estimators that support scikit-learn's fit callbacks."""

    def _fit_callbacks(self, X, y, sample_weight):
        """The `FitCallbacks` of a fit on these data; None without callbacks.

        Call it before anything can fail: it sets up the callbacks, and `with_callbacks` tears them
        down.
        """
        given = vars(self).get("_skl_callbacks", [])
        if not (given or self.verbose or hasattr(self, "_parent_callback_ctx")):
            return None
        if self.verbose:
            self._skl_callbacks = [*given, Progress()]
        try:
            context = self._init_callback_context(max_subtasks=most_epochs(self))
        finally:
            if self.verbose:
                self.set_callbacks(*given)
        follows_epochs = bool(given or self.verbose)
        return FitCallbacks(self, context, X, y, sample_weight, follows_epochs)
