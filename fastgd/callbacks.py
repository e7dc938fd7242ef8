"""Callbacks for `set_callbacks`, beside scikit-learn's own."""

import os
import pickle
from copy import copy
from numbers import Integral

from sklearn.utils._param_validation import Interval, validate_params

from fastgd.estimators.files import remove_abandoned, replace, resolved

UNDER_WAY = (
    "_skl_callbacks",
    "_skl_callbacks_to_teardown",
    "_callback_fit_ctx",
    "_parent_callback_ctx",
)


class Checkpoint:
    """Keep the model of the last epochs in a file, from which training goes on exactly after the
    process has died.

    The file is a pickle of the estimator, without its callbacks, as if `fit` had stopped there; it
    knows all that the next `fit` on the same data needs. It is replaced at once: whenever the
    process dies, the last complete one is there, also where several processes write the same file.

    Parameters
    ----------
    path : str or path-like
        The file, or a symbolic link to it, which stays. The file's folder must exist; the next file
        is written there before it takes its place. A file that exists passes its mode on; that of a
        new one follows the umask.

    every : int, default=1
        Epochs from one writing to the next; the last one of `fit` is always written.

    Raises
    ------
    ValueError
        When `fit` begins with an estimator that would not go on: one without ``warm_start=True``.
    OSError
        When `fit` begins and there is no such folder, or `path` is something else than a file; when
        writing fails.

    Notes
    -----
    On Linux the next file has no name until it is complete, so that nothing is left of it if the
    process is killed. Other systems may keep a part of it under the name ``.fastgd-*.tmp``; the
    next `fit` with a `Checkpoint` in that folder removes it.

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

    @validate_params(
        {"path": [str, os.PathLike], "every": [Interval(Integral, 1, None, closed="left")]},
        prefer_skip_nested_validation=True,
    )
    def __init__(self, path, every=1):
        self.path, self.every = path, every

    def setup(self, estimator, context):
        """scikit-learn calls it when a fit begins."""
        if not getattr(estimator, "warm_start", False):
            raise ValueError(
                "Checkpoint needs an estimator with warm_start=True, which alone goes on "
                f"exactly: got {estimator!r}"
            )
        remove_abandoned(os.path.dirname(resolved(self.path)))

    def on_fit_task_begin(self, estimator, context):
        """There is nothing to keep before an epoch is over."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        """Write what has been reached."""
        if fitted_estimator is not None and (
            context.max_subtasks or fitted_estimator.n_iter_ % self.every == 0
        ):
            model = copy(fitted_estimator)
            for name in UNDER_WAY:
                vars(model).pop(name, None)
            replace(self.path, lambda file: pickle.dump(model, file, protocol=5))

    def teardown(self, estimator, context):
        """scikit-learn calls it when a fit ends, however it ends."""
