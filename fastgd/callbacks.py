"""Callbacks for `set_callbacks`, in addition to those of scikit-learn."""

from __future__ import annotations

import os
import pickle
from copy import copy
from numbers import Integral
from typing import Any

from sklearn.utils._param_validation import Interval

from fastgd.estimators.files import remove_abandoned, replace, resolved
from fastgd.estimators.parameters import validate_arguments
from fastgd.kernels.digest import checksum

# The attributes by which scikit-learn runs callbacks during a fit; a stored model has none.
CALLBACK_STATE = "_skl_callbacks _skl_callbacks_to_teardown _callback_fit_ctx _parent_callback_ctx"


class _Sealed:
    """Bytes of a pickle; unpickled, the object in it, if the bytes are those that were written."""

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        return opened, (self.content, checksum(self.content))


def opened(content, digest):
    """The object of a pickle, whose bytes have to be those that were written.

    Damaged pickles may be read as other numbers, or as arrays that end the process.
    """
    if checksum(content) != digest:
        raise pickle.UnpicklingError("the checkpoint is damaged: its bytes are not those written")
    return pickle.loads(content)


class Checkpoint:
    """Save the model to a file during training, so that training can continue exactly if the
    process dies.

    The file is a pickle of the estimator, without its callbacks, as if `fit` had stopped there. It
    holds everything that the next `fit` on the same data needs. It is replaced atomically: if the
    process dies, the last complete file remains, also if several processes write the same file. It
    has a hash of its content, so unpickling a damaged file is an error.

    Parameters
    ----------
    path : str or path-like
        The file, or a symbolic link to it, which is kept. The folder of the file must exist; the
        next file is written there before it replaces the last one. The mode of an existing file is
        kept; a new file follows the umask.

    every : int, default=1
        Number of epochs between writes. The last epoch of `fit` is always written.

    Raises
    ------
    ValueError
        When `fit` begins, if the estimator does not have ``warm_start=True``.
    OSError
        When `fit` begins, if the folder does not exist or `path` is not a file; when writing fails.

    Notes
    -----
    On Linux the next file has no name until it is complete, so that nothing remains of it if the
    process is killed. On other systems an incomplete file named ``.fastgd-*.tmp`` may remain; the
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

    @validate_arguments(
        {"path": [str, os.PathLike], "every": [Interval(Integral, 1, None, closed="left")]}
    )
    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path, self.every = path, every

    def setup(self, estimator: Any, context: Any) -> None:
        """Called by scikit-learn when a fit begins."""
        if not getattr(estimator, "warm_start", False):
            raise ValueError(
                "Checkpoint needs an estimator with warm_start=True, which continues exactly: "
                f"got {estimator!r}"
            )
        remove_abandoned(os.path.dirname(resolved(self.path)))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing is saved before the end of an epoch."""

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Write the model of every `every`-th epoch, and that of the whole fit."""
        if fitted_estimator is not None and (
            context.max_subtasks or fitted_estimator.n_iter_ % self.every == 0
        ):
            model = copy(fitted_estimator)
            for name in CALLBACK_STATE.split():
                vars(model).pop(name, None)
            sealed = _Sealed(pickle.dumps(model, protocol=5))
            replace(self.path, lambda file: pickle.dump(sealed, file, protocol=5))

    def teardown(self, estimator: Any, context: Any) -> None:
        """Called by scikit-learn when a fit ends, also by an error."""
