"""The progress bar that `verbose=1` shows: a callback of scikit-learn's protocol, drawn by rich."""

from multiprocessing import parent_process
from threading import current_thread, main_thread

from sklearn.utils._optional_dependencies import check_rich_support


class Progress:
    """One bar per fit: epochs, loss, learning rate, time left.

    If it cannot be redrawn (files, threads, worker processes, nested fits), one line is printed at
    the end.
    """

    def __init__(self):
        check_rich_support("verbose=1")

    def setup(self, estimator, context):
        from rich import get_console
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = get_console()
        is_alone = (
            context.parent is None
            and current_thread() is main_thread()
            and parent_process() is None
        )
        is_live = is_alone and (console.is_terminal or console.is_jupyter)
        bar = [BarColumn()] if is_live else []
        columns = [
            TextColumn("{task.description}"),
            *bar,
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        ]
        self._bar = Progress(
            *columns,
            console=console if is_live else Console(force_terminal=False, force_jupyter=False),
        )
        self._task = self._bar.add_task(context.estimator_name, total=context.max_subtasks, said="")
        self._bar.start()

    def on_fit_task_begin(self, estimator, context):
        """Do nothing: there is nothing to show before the end of an epoch."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        history, epochs = fitted_estimator.history_, fitted_estimator.n_iter_
        # The task is the fit itself.
        if context.max_subtasks:
            self._bar.update(
                self._task,
                total=epochs,
                description=f"{context.estimator_name}: {fitted_estimator.stop_reason_}",
            )
        else:
            said = f"loss {history['loss'][-1]:.6g}, rate {history['learning_rate'][-1]:.3g}"
            self._bar.update(self._task, completed=epochs, said=said)

    def teardown(self, estimator, context):
        self._bar.stop()
