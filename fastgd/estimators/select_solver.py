"""Selection of the method that trains a linear model, by its parameters and its problem.

Methods that few fits use are imported when they are selected, so that `import fastgd` stays fast.
"""

import numpy as np

from fastgd.kernels.rows import squared_norms
from fastgd.methods.implicit_sgd import AveragedImplicitSGD
from fastgd.methods.optimizers import SGD, GradientNoise, as_optimizer
from fastgd.methods.schedules import Lipschitz, as_schedule
from fastgd.methods.sgd import FirstOrder, check_compatible
from fastgd.problem.order import seed_of

# The rate of learning_rate="auto" for rules that scale their steps, such as Adam.
ADAPTIVE_RATE = 0.01


def is_automatic(model):
    """Whether the method has no learning rate. With a named rule, averaging or a custom loss,
    "auto" only chooses the rate.
    """
    named = isinstance(model.loss, str)
    return (
        model.learning_rate == "auto"
        and named
        and not model.average
        and as_optimizer(model.optimizer) == SGD()
    )


def select_method(model, problem, partial, last):
    """The method of an SGD estimator; `last` is the number of the last epoch, for a schedule.
    `partial` means one pass over a stream.
    """
    if is_automatic(model):
        return automatic_method(model, problem, partial)
    optimizer, full = as_optimizer(model.optimizer), problem.full_batch
    size = len(problem.visits) if full else model.batch_size
    if (
        problem.objective.loss.function
        and model.learning_rate == "auto"
        and optimizer == SGD()
        and not model.average
    ):
        from fastgd.methods.lbfgs import LBFGS, AutoRateAdam

        return LBFGS() if full and not partial else AutoRateAdam(size)
    schedule = as_schedule(
        model.learning_rate,
        eta0=model.eta0,
        power_t=model.power_t,
        alpha=model.alpha,
        max_iter=last,
        lipschitz=lambda: Lipschitz(first_rate(model, problem, optimizer), decays=not full),
    )
    check_compatible(schedule, optimizer, model.batch_size, problem.objective.loss)
    seed = seed_of(problem.random_state) if isinstance(optimizer, GradientNoise) else 0
    return FirstOrder(
        schedule,
        optimizer,
        size,
        average_from=-(-model.average // size) if model.average else None,
        seed=seed,
    )


def automatic_method(model, problem, partial, is_reduced=False, tries_direct=True):
    """The method without a learning rate; `is_reduced` says that the problem is in the span of its
    rows already, `tries_direct` that a direct solution is to be tried.
    """
    size = len(problem.visits) if problem.full_batch else model.batch_size
    if partial:
        return AveragedImplicitSGD(size)
    kinked = not problem.objective.loss.is_smooth
    if (
        not problem.full_batch
        or (kinked and problem.objective.has_nonsmooth_penalty)
        or problem.objective.is_degenerate
    ):
        from fastgd.methods.saga import SAGA

        return SAGA(size, seed_of(problem.random_state), model.tol)
    chooses, tol = model.batch_size == "auto", model.tol or 0.0
    if chooses and tries_direct and problem.objective.loss.is_quadratic:
        from fastgd.methods import normal_equations
        from fastgd.methods.direct import Direct

        solve = normal_equations.solver_for(problem)
        if solve:
            others = {"is_reduced": is_reduced, "tries_direct": False}
            return Direct(solve, lambda: automatic_method(model, problem, partial, **others))
    if chooses and suits_dual(problem):
        from fastgd.methods.dual_coordinate_descent import DualCoordinateDescent

        return DualCoordinateDescent(chooses, tol)
    if chooses and not is_reduced and suits_row_space(problem):
        from fastgd.methods.row_space import RowSpace

        return RowSpace(lambda reduced: automatic_method(model, reduced, partial, is_reduced=True))
    if problem.objective.has_nonsmooth_penalty:
        from fastgd.methods.proximal_newton import ProximalNewton

        return ProximalNewton(chooses, tol)
    if problem.objective.loss.needs_smoothing:
        from fastgd.methods.smoothing import SmoothedNewton

        return SmoothedNewton(chooses, tol)
    from fastgd.methods.active_set import newton_for

    return newton_for(problem, chooses, tol)


def suits_row_space(problem):
    """Whether to solve a problem in the span of its rows, which are fewer than its columns."""
    if len(problem.visits) > problem.rows.shape[1]:
        return False
    from fastgd.methods.row_space import is_worthwhile

    return is_worthwhile(problem)


def suits_dual(problem):
    """Whether dual coordinate descent may be the fastest method.

    It cannot continue an earlier model; and for smooth losses an affordable dense preconditioner is
    faster.
    """
    from fastgd.methods.preconditioner import dense_rows

    objective = problem.objective
    if (
        not problem.rows.sparse
        or not objective.loss.has_dual_step
        or objective.has_nonsmooth_penalty
        or problem.resumable
    ):
        return False
    # The dual needs one penalty for all columns.
    if objective.by_column:
        return False
    return objective.l2 > 0 and (objective.loss.needs_smoothing or not dense_rows(problem))


def first_rate(model, problem, optimizer):
    """1 / L with L a bound of the curvature of any batch (of a full one, the trace); for rules that
    scale their steps eta0, or `ADAPTIVE_RATE`.
    """
    if optimizer.is_adaptive:
        return ADAPTIVE_RATE if model.learning_rate == "auto" else model.eta0
    if problem.objective.loss.function:
        raise ValueError(
            f"learning_rate={model.learning_rate!r} with average={model.average} and "
            f"optimizer={model.optimizer!r} "
            "needs a bound of the loss's curvature, which a custom loss does not provide: choose "
            "another "
            "learning_rate, or a rule that scales itself, such as 'adam'"
        )
    lengths = squared_norms(problem.rows, problem.visits) + model.fit_intercept
    if problem.weights is not None:
        lengths *= problem.weights[problem.visits]
    longest = lengths.mean() if problem.full_batch else lengths.max()
    if not np.isfinite(longest):
        raise ValueError(
            "X is too large for learning_rate='lipschitz': the squared length of a row overflows. "
            "Scale X, or "
            "choose another learning_rate."
        )
    objective = problem.objective
    curvature = objective.loss.typical_curvature(problem.targets)
    return 1 / (curvature * longest + objective.l2 or 1.0)
