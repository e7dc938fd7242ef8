"""How a run of `minimize` ends: the statuses, what they mean, and what raises them."""

from fastgd.problem.cost import OutOfEvaluationsError, OutOfTimeError

# The statuses of a run.
CONVERGED, MAX_ITER, NO_DESCENT, UNDEFINED, DIVERGED, STALLED, MAX_FUN, MAX_SECONDS = range(8)
STOPPED = 99
# What the statuses mean, for the user.
MESSAGES = {
    CONVERGED: (
        "The gradient is small, max |gradient| <= tol * max(1, |fun|), and little is left to gain."
    ),
    MAX_ITER: "The maximum number of iterations has been reached.",
    NO_DESCENT: (
        "No step along the gradient lowers the cost any more: rounding errors, a kink, or a "
        "gradient that is not that of fun (see check_gradient)."
    ),
    UNDEFINED: (
        "The cost or its gradient is not a number at a later point; x is the best point so far. "
        "Where the cost is not defined, return inf, and the steps keep away."
    ),
    DIVERGED: (
        "The cost has become infinite; x is the best point so far. A smaller learning_rate may "
        "help."
    ),
    STALLED: (
        "The cost stays on a plateau, and the learning rate has been reduced as far as it goes."
    ),
    MAX_FUN: "The maximum number of evaluations has been reached; x is the best point so far.",
    MAX_SECONDS: "max_seconds have passed; x is the best point so far.",
    STOPPED: "`callback` raised `StopIteration`.",
}
# The message of a run that has converged up to rounding.
ROUNDING_MESSAGE = (
    "Rounding errors allow no further descent: what is left to gain, or the gradient, is 0 to its "
    "precision."
)
# The message of a run whose cost is minus infinity.
UNBOUNDED_MESSAGE = "The cost falls without end: it has become -inf."


class StoppedError(Exception):
    """The callback has raised StopIteration."""


# What ends all runs, and the status.
ENDS = {StoppedError: STOPPED, OutOfEvaluationsError: MAX_FUN, OutOfTimeError: MAX_SECONDS}
