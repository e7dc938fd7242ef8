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
        from rich import get_console, progress
        from rich.console import Console

        console = get_console()
        is_inside = context.parent is not None or parent_process() is not None
        is_alone = not is_inside and current_thread() is main_thread()
        is_live = is_alone and (console.is_terminal or console.is_jupyter)
        self._bar = progress.Progress(
            "{task.description}",
            *([progress.BarColumn()] if is_live else []),
            progress.MofNCompleteColumn(),
            "epochs",
            "{task.fields[said]}",
            progress.TimeRemainingColumn(elapsed_when_finished=True),
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
            ended = f"{context.estimator_name}: {fitted_estimator.stop_reason_}"
            self._bar.update(self._task, total=epochs, description=ended)
        else:
            said = f"loss {history['loss'][-1]:.6g}, rate {history['learning_rate'][-1]:.3g}"
            self._bar.update(self._task, completed=epochs, said=said)

    def teardown(self, estimator, context):
        self._bar.stop()
