"""L-BFGS with line searches, on any function of a vector, and what methods that use it share."""

import numpy as np

from fastgd.kernels.cost import Status
from fastgd.kernels.quasi_newton import QuasiNewton
from fastgd.methods.method import Method

_SEARCHING = int(Status.SEARCHING)


class LineSearches(QuasiNewton):
    """L-BFGS from x0 on a function, ``function(x) -> (value, gradient)``.

    The kernel proposes points, `trial`, and is told the function there; `x`, `value`, `gradient`
    and `norm` describe the last iterate. `precision` is the relative precision of the values, and
    `single` rounds every trial to float32. `share` is the part of `l1` that each parameter has.

    References
    ----------
    Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
    Programming 1989.
    """

    def __init__(
        self, x0, memory, precision, *, lower=None, upper=None, l1=0.0, share=None, single=False
    ):
        x0 = x0.astype(np.float64)
        super().__init__(x0, lower, upper, l1, memory, precision, single, share)
        # The last value, and the evaluations so far.
        self.told, self.evaluations = np.nan, 0

    def evaluate(self, function):
        """Evaluate the function at `trial`; return the kernel's `Status`."""
        self.told, gradient = function(self.trial)
        self.evaluations += 1
        return self.tell(self.told, np.asarray(gradient, np.float64))

    def iterate(self, function):
        """Search along a line from x; return the `Status` at its end."""
        status = self.propose()
        while status == _SEARCHING:
            status = self.evaluate(function)
        return status


class Repeatable(Method):
    """A method whose line searches cannot be stored: a later run repeats the epochs since the state
    `_origin`, where training began.
    """

    resumed = "state", "_origin"

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by repeating its epochs."""
        state, origin = resume_point["state"], resume_point["_origin"]
        self.start(problem, None, origin)
        for _ in range(state.epochs - origin.epochs):
            self.epoch(None)
        self.state = state
