"""Callbacks for `set_callbacks`, beside scikit-learn's own."""
import os
import pickle
import tempfile
from copy import copy
from numbers import Integral
from pathlib import Path

from sklearn.utils._param_validation import Interval, validate_params

UNDER_WAY = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx", "_parent_callback_ctx")


class Checkpoint:
    """Keep the model of the last epochs in a file, from which training goes on exactly after the process has died.

    The file is a pickle of the estimator, without its callbacks, as if `fit` had stopped there; it knows all that the next `fit` on
    the same data needs. It is replaced at once: whenever the process dies, the last complete one is there.

    Parameters
    ----------
    path : str or path-like
        The file. Its folder must exist, and is where the next one is written before it takes its place.

    every : int, default=1
        Epochs from one writing to the next; the last one of `fit` is always written.

    Raises
    ------
    ValueError
        When `fit` begins with an estimator that would not go on: one without ``warm_start=True``.

    Examples
    --------
    >>> import pickle, tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import Checkpoint, SGDClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "model.pickle")
    ...     model = SGDClassifier("log_loss", warm_start=True, max_iter=3, tol=None, random_state=0)
    ...     model = model.set_callbacks(Checkpoint(path)).fit(X, y)
    ...     again = pickle.loads(path.read_bytes())
    >>> len(again.set_params(max_iter=2).fit(X, y).history_["loss"])
    5
    """

    @validate_params({"path": [str, os.PathLike], "every": [Interval(Integral, 1, None, closed="left")]},
                     prefer_skip_nested_validation=True)
    def __init__(self, path, every=1):
        self.path, self.every = path, every

    def setup(self, estimator, context):
        """scikit-learn calls it when a fit begins."""
        if not getattr(estimator, "warm_start", False):
            raise ValueError(f"Checkpoint needs an estimator with warm_start=True, which alone goes on exactly: got {estimator!r}")

    def on_fit_task_begin(self, estimator, context):
        """There is nothing to keep before an epoch is over."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        """Write what has been reached."""
        if fitted_estimator is not None and (context.max_subtasks or fitted_estimator.n_iter_ % self.every == 0):
            model = copy(fitted_estimator)
            for name in UNDER_WAY:
                vars(model).pop(name, None)
            self._write(model)

    def teardown(self, estimator, context):
        """scikit-learn calls it when a fit ends, however it ends."""

    def _write(self, model):
        path = Path(os.path.abspath(self.path))
        descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                pickle.dump(model, file, protocol=5)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        if os.name == "posix":  # that the new name outlives a power cut, too
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
