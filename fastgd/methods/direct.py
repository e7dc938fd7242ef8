"""Least squares by the normal equations: one pass over X makes the products of its columns, one
Cholesky factorisation solves for all targets.

The error of the solution is of the order of cond(X)^2 machine epsilons. Where that matters it is
refined: the gradient at the solution, from X itself in another pass, gives the next correction by
the same factor. Where the factor is too inaccurate for that, another method takes over.
Sources: Björck, Numerical Methods for Least Squares Problems, sections 2.2 and 2.9 (normal
equations and iterative refinement).
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpocon

from fastgd.methods.full_batch import State
from fastgd.methods.method import Epoch, Method
from fastgd.problem.layout import pack, unpack
from fastgd.problem.products import products_of

# Columns, at most: their products take 72 MB.
MAX_COLUMNS = 3000
# Refine the solution if the reciprocal condition number of the products is below this: without it
# the coefficients would be off by more than about 1e-10 of their size.
REFINED_CONDITION = 1e-6
# Below this reciprocal condition number a refinement gains less than a digit.
MIN_CONDITION = 1e-14
# A refined solution is accurate once a correction is at most this share of it: the next one would
# be smaller by the condition number times the machine epsilon, at most 0.02.
ACCURATE_CORRECTION = 1e-9
# Refinements, at most. A guard: each one gains two digits or more.
MAX_REFINEMENTS = 5
# Multiplications of the products per stored number of sparse X, at most: about 100 passes.
MAX_WORK_PER_NUMBER = 300


def suits(problem):
    """Whether the normal equations are the fastest way to the minimum."""
    objective, (n, p) = problem.objective, problem.rows.shape
    if not objective.loss.is_quadratic or objective.has_nonsmooth_penalty or objective.tilt:
        return False
    rows = len(problem.visits)
    if p > MAX_COLUMNS or rows < p + objective.intercept or not p:
        return False
    return not problem.rows.sparse or rows * p * p <= MAX_WORK_PER_NUMBER * problem.rows.stored


class Direct(Method):
    """Solve least squares with an L2 penalty, or none; an epoch does it all.

    `make_other()` returns the method for problems whose products are too close to singular.
    """

    def __init__(self, make_other):
        self._make_other, self._other = make_other, None

    def start(self, problem, theta, earlier):
        """Begin; theta matters only if another method has to take over."""
        self.problem, self._solution, self._optimality = problem, None, None
        if theta is None:
            parts = unpack(earlier.theta, problem.objective.outputs, earlier.by_column)
            theta = pack(*parts, problem.rows.dtype, problem.by_column)
        t, epochs = getattr(earlier, "t", 1), getattr(earlier, "epochs", 0)
        self._state = State(theta, problem.by_column, t=t, epochs=epochs)

    @property
    def state(self):
        """The state of the run."""
        return self._other.state if self._other else self._state

    @state.setter
    def state(self, state):
        if self._other:
            self._other.state = state
        else:
            self._state = state

    def resume_point(self):
        """What `resume` needs."""
        return self._state, self._other and self._other.resume_point()

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`."""
        state, other = resume_point
        self.start(problem, None, state)
        if other is None:
            self._solve()
        else:
            self._other = self._make_other()
            self._other.resume(problem, other)

    def epoch(self, order):
        """Solve, in one pass over the rows or some; their order does not matter."""
        if self._other is None and self._solution is None and not self._solve():
            self._other = self._make_other()
            self._other.start(self.problem, self._state.theta, None)
        if self._other:
            return self._other.epoch(order)
        problem = self.problem
        theta = pack(*self._solution, problem.rows.dtype, problem.by_column)
        t, epochs = self._state.t + 1, self._state.epochs + 1
        self._state = State(theta, problem.by_column, t=t, epochs=epochs)
        return Epoch(self._loss, self._norm, 1.0)

    def _solve(self):
        """Set the solution; return whether it is accurate."""
        metric = self.problem.metric
        self._products = (metric and metric.products) or products_of(self.problem)
        if self._products is None:
            return False
        self._inverse = self._products.metric.inverse
        l2 = self.problem.objective.penalties(self._inverse)[1]
        self._l2 = np.broadcast_to(l2, (self.problem.objective.outputs, len(self._inverse)))
        self._factors = [self._factor(k) for k in range(1 if l2.ndim == 1 else len(l2))]
        conditions = [condition for _, condition in self._factors]
        if not min(conditions) >= MIN_CONDITION:
            return False
        V = self._solve_for(self._inverse * self._products.XY.T)
        self._evaluate(V)
        if min(conditions) < REFINED_CONDITION:
            V = self._refined(V)
        if V is None:
            return False
        self._solution = self._to_user(V)
        return True

    def _factor(self, output):
        """(Cholesky factor of an output's Hessian in scaled columns, its reciprocal condition
        number); the number is 0 without a factor.
        """
        H = self._products.XX * self._inverse * self._inverse[:, None]
        diagonal = np.einsum("ii->i", H)
        diagonal += self._l2[output]
        # Columns that do not vary: their weights are 0.
        diagonal[diagonal == 0] = 1.0
        norm = np.abs(H).sum(axis=0).max()
        try:
            factor = cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return None, 0.0
        return factor, dpocon(factor[0], norm, uplo="L")[0]

    def _solve_for(self, B):
        """H^-1 b for each row b of B, one per output."""
        if len(self._factors) == 1:
            return cho_solve(self._factors[0][0], B.T, check_finite=False).T
        pairs = zip(self._factors, B, strict=True)
        return np.array([cho_solve(factor, b, check_finite=False) for (factor, _), b in pairs])

    def _to_user(self, V):
        """(coef, intercept) of weights in scaled columns."""
        W, made = V * self._inverse, self._products
        return W, (made.mean_y - W @ made.mean_x) * self.problem.objective.intercept

    def _refined(self, V):
        """The solution refined by gradients from X itself; None if it does not become accurate."""
        problem, made = self.problem, self._products
        for _ in range(MAX_REFINEMENTS):
            theta = pack(*self._to_user(V), problem.rows.dtype, problem.by_column)
            gradient = np.empty_like(theta)
            self._loss = problem.value(theta, gradient)
            G, g = unpack(gradient.astype(float), problem.objective.outputs, problem.by_column)
            G = (G - np.outer(g, made.mean_x)) * self._inverse + self._l2 * V
            self._norm = float(np.sqrt((G * G).sum()))
            change = self._solve_for(G)
            V = V - change
            if problem.rows.dtype != np.float64:
                # The gradient is no better than the products.
                return V
            if np.linalg.norm(change) <= ACCURATE_CORRECTION * np.linalg.norm(V):
                return V
        return None

    def _evaluate(self, V):
        """Set the objective and the norm of its gradient from the products."""
        made = self._products
        XY = self._inverse * made.XY.T
        HV = (V * self._inverse) @ made.XX * self._inverse
        squares = made.YY.sum() - 2 * (V * XY).sum() + (V * HV).sum()
        self._loss = max(float(squares + (self._l2 * V * V).sum()) / 2, 0.0)
        G = HV - XY + self._l2 * V
        self._norm = float(np.sqrt((G * G).sum()))

    # ---- the result ----

    def optimality(self):
        """0 within rounding, as the solution is exact; that of the other method, if one trains."""
        if self._other:
            return self._other.optimality()
        return None if self._solution is None else (0.0, "Newton decrement")

    @property
    def exhausted(self):
        """Whether further passes gain nothing."""
        return self._other.exhausted if self._other else self._solution is not None

    def solution(self):
        """(coef, intercept)"""
        if self._other:
            return self._other.solution()
        if self._solution is not None:
            return self._solution
        return unpack(self._state.theta, self.problem.objective.outputs, self.problem.by_column)

    def loss_at(self, theta):
        """The objective at theta."""
        return self.problem.value(theta, np.empty_like(theta))

    def finish(self, certify=True):
        """End training."""
        if self._other:
            self._other.finish(certify)
