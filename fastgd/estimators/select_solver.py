"""Selection of the method that trains a linear model, by its parameters and its problem.

Methods that few fits use are imported when they are selected, so that `import fastgd` stays fast.
"""

import numpy as np

from fastgd.methods.implicit_sgd import AveragedImplicitSGD
from fastgd.methods.optimizers import SGD, GradientNoise, as_optimizer
from fastgd.methods.schedules import Lipschitz, as_schedule
from fastgd.methods.sgd import FirstOrder, check_compatible
from fastgd.problem import passes
from fastgd.problem.seed import seed_of

# Full batches take the place of single rows for least squares that are solved by products of this
# number of columns or rows, at most: in the time of about 12 passes.
EASY_PRODUCTS = 300
# The rate of learning_rate="auto" for rules that scale their steps, such as Adam.
ADAPTIVE_RATE = 0.01


def is_automatic(model):
    """Whether the method has no learning rate. With a named rule, averaging or a custom loss,
    "auto" only chooses the rate.
    """
    return isinstance(model.loss, str) and _has_defaults(model)


def _has_defaults(model):
    """Whether learning rate, rule and averaging are left to fastgd."""
    is_left_open = model.learning_rate == "auto" and not model.average
    return is_left_open and isinstance(as_optimizer(model.optimizer), SGD)


def select_method(model, problem, partial, last):
    """The method of an SGD estimator; `last` is the number of the last epoch, for a schedule.
    `partial` means one pass over a stream.
    """
    full = problem.full_batch
    size = len(problem.visits) if full else model.batch_size
    if is_automatic(model):
        if partial:
            return AveragedImplicitSGD(size, model._expects_drift)
        return automatic_method(model, problem, size)
    if _has_defaults(model):
        from fastgd.methods.custom_loss import LBFGS, AutoRateAdam

        return LBFGS() if full and not partial else AutoRateAdam(size)
    optimizer = as_optimizer(model.optimizer)

    def lipschitz():
        return Lipschitz(first_rate(model, problem, optimizer), decays=not full)

    parameters = {"eta0": model.eta0, "power_t": model.power_t, "alpha": model.alpha}
    parameters |= {"max_iter": last, "lipschitz": lipschitz}
    schedule = as_schedule(model.learning_rate, **parameters)
    check_compatible(schedule, optimizer, model.batch_size, problem.objective.loss)
    average_from = -(-model.average // size) if model.average else None
    seed = seed_of(problem.random_state) if isinstance(optimizer, GradientNoise) else 0
    return FirstOrder(schedule, optimizer, size, average_from, seed, bool(model.shuffle))


def automatic_method(model, problem, size):
    """The method without a learning rate, with batches of `size` rows."""
    objective, tol = problem.objective, model.tol or 0.0
    both_have_kinks = objective.has_nonsmooth_penalty and not objective.loss.is_smooth
    if problem.full_batch and model.batch_size == "auto" and objective.loss.kinks:
        from fastgd.methods import l1_interior_point

        if l1_interior_point.suits(problem):
            return l1_interior_point.L1InteriorPoint(True, tol)
    if not (both_have_kinks or objective.is_degenerate):
        if problem.full_batch:
            # Chunks are read one after the other, whatever the number of rows of a batch.
            chooses = model.batch_size != "full"
            return _full_batch_method(problem, chooses, tol)
        if _is_easy_in_full(model, problem):
            return _full_batch_method(problem, True, tol)
        if has_easy_dual(problem):
            from fastgd.methods.dual_coordinate_descent import DualCoordinateDescent

            return DualCoordinateDescent(False, tol)
    if problem.X is None:
        raise ValueError(
            "a non-smooth loss with an L1 penalty, and the perceptron, are trained by steps along "
            "rows at random, which chunks do not allow: choose another loss or penalty, a "
            "learning_rate, or partial_fit"
        )
    from fastgd.methods.saga import SAGA

    return SAGA(size, seed_of(problem.random_state), model.tol)


def _full_batch_method(problem, chooses, tol, is_reduced=False, tries_direct=True):
    """The method of full batches. `chooses` says that it may take any way, `is_reduced` that the
    problem is in the span of its rows already, `tries_direct` that a direct solution is tried.
    """
    objective = problem.objective
    if objective.loss.has_scale:
        from fastgd.methods.huber_scale import NewtonWithScale

        return NewtonWithScale(chooses, tol)
    solve = direct_solver(problem) if chooses and tries_direct else None
    if solve:
        from fastgd.methods.delegating import Relay
        from fastgd.methods.direct import Direct

        others = chooses, tol, is_reduced, False
        return Relay(Direct(solve, tol), lambda: _full_batch_method(problem, *others))
    if chooses and suits_dual(problem):
        from fastgd.methods.dual_coordinate_descent import DualCoordinateDescent

        return DualCoordinateDescent(chooses, tol)
    if chooses and not is_reduced and len(problem.visits) <= problem.rows.shape[1]:
        from fastgd.methods.row_space import RowSpace, is_worthwhile

        if is_worthwhile(problem):
            others = chooses, tol, True, tries_direct

            def row_space():
                return RowSpace(lambda reduced: _full_batch_method(reduced, *others))

            if not has_dual(problem):
                return row_space()
            from fastgd.methods.delegating import Relay
            from fastgd.methods.dual_coordinate_descent import DualCoordinateDescent

            return Relay(DualCoordinateDescent(True, tol, gives_up=True), row_space)
    if objective.has_nonsmooth_penalty:
        from fastgd.methods.proximal_newton import ProximalNewton

        return ProximalNewton(chooses, tol)
    if objective.loss.needs_smoothing:
        from fastgd.methods.interior_point import method_for

        return method_for(problem, chooses, tol)
    from fastgd.methods.active_set import newton_for

    return newton_for(problem, chooses, tol)


def _is_easy_in_full(model, problem):
    """Whether full batches find the minimum in the time of a few epochs by rows. Without `tol` the
    user asks for epochs, not for the minimum.
    """
    n, p, loss = len(problem.visits), problem.rows.shape[1], problem.objective.loss
    if model.tol is None or loss.function or problem.resumable or model.early_stopping:
        return False
    if problem.rows.dtype != np.float64:
        return False
    if min(n, p) <= EASY_PRODUCTS and direct_solver(problem):
        return True
    from fastgd.methods.newton_cholesky import has_cheap_hessian

    return has_cheap_hessian(problem)


def direct_solver(problem):
    """The function that solves a problem of least squares from products of its columns or rows;
    None if there is none, or another method is the faster one.
    """
    if not problem.objective.loss.is_quadratic:
        return None
    from fastgd.methods import covariance_updates, normal_equations

    if covariance_updates.suits(problem):
        return covariance_updates.solve
    return normal_equations.solver_for(problem)


def needs_products(problem):
    """Whether a problem is solved from the products of its columns."""
    from fastgd.methods import covariance_updates, normal_equations

    of_columns = covariance_updates.solve, normal_equations.solve_by_columns
    return direct_solver(problem) in of_columns


def has_dual(problem):
    """Whether dual coordinate descent can train: it cannot continue an earlier model, goes to rows
    at random, and needs an L2 penalty, the same for all columns.
    """
    objective = problem.objective
    if not objective.loss.has_dual_step or problem.resumable or problem.X is None:
        return False
    return not (objective.has_nonsmooth_penalty or objective.by_column) and objective.l2 > 0


def suits_dual(problem):
    """Whether dual coordinate descent may be the fastest method on sparse rows: for smooth losses
    an affordable dense preconditioner is faster.
    """
    if not (problem.rows.sparse and has_dual(problem)):
        return False
    from fastgd.methods.preconditioner import dense_rows

    return problem.objective.loss.needs_smoothing or not dense_rows(problem)


def has_easy_dual(problem):
    """Whether dual coordinate descent, which goes by rows too, needs few passes."""
    if not suits_dual(problem):
        return False
    from fastgd.methods.dual_coordinate_descent import SMALL_ROW_NORM

    mean = passes.squared_norms(problem.rows, problem.visits).mean()
    return mean <= SMALL_ROW_NORM * problem.total_weight * problem.objective.l2


def first_rate(model, problem, optimizer):
    """1 / L with L a bound of the curvature of any batch (of a full one, the trace); for rules that
    scale their steps eta0, or `ADAPTIVE_RATE`.
    """
    if optimizer.is_adaptive:
        return ADAPTIVE_RATE if model.learning_rate == "auto" else model.eta0
    objective = problem.objective
    if objective.loss.function:
        raise ValueError(
            f"learning_rate={model.learning_rate!r} with average={model.average} and "
            f"optimizer={model.optimizer!r} needs a bound of the loss's curvature, which a custom "
            "loss does not provide: choose another learning_rate, or a rule that scales itself, "
            "such as 'adam'"
        )
    lengths = passes.squared_norms(problem.rows, problem.visits) + model.fit_intercept
    if problem.weights is not None:
        lengths *= problem.weights[problem.visits]
    longest = lengths.mean() if problem.full_batch else lengths.max()
    if not np.isfinite(longest):
        raise ValueError(
            "X is too large for learning_rate='lipschitz': the squared length of a row overflows. "
            "Scale X, or choose another learning_rate."
        )
    return 1 / (objective.loss.typical_curvature(problem.targets) * longest + objective.l2 or 1.0)
