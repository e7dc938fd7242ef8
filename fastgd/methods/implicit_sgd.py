"""Averaged implicit stochastic gradient descent for streams, on columns scaled by the rows so
far.
"""

import numpy as np

from fastgd.kernels import implicit
from fastgd.methods.method import Epoch, Method
from fastgd.methods.sparse_stream import SparseStream, as_dense, as_sparse
from fastgd.methods.stream import Stream
from fastgd.problem.constant_model import constant_model
from fastgd.problem.layout import unpack
from fastgd.problem.problem import Problem

# The initial rate, in units of the inverse mean curvature.
IMPLICIT_RATE = 2.0
# After this number of rows the rates fall as 1 / sqrt(rows).
RATE_HORIZON = 1000
# Restart the average once the iterates predict better than it by this number of standard errors,
# which takes 16 rows at least. At 3, a drift is noticed some 15 rows earlier, but one of the
# stationary sets of `python -m bench auto` restarts by chance, which costs 5 % of the possible
# gain.
DRIFT_THRESHOLD = 4.0


class AveragedImplicitSGD(Method):
    """One pass over a stream: implicit steps at rates ~ 1 / sqrt(rows); the model is the average of
    the iterates.

    Where the iterates predict new rows significantly better than their average does, the data have
    drifted: the average restarts at the iterate, and so do the rates, unless `expects_drift` is
    False. A call copies the state of
    dense rows and changes that of sparse ones in place.

    References
    ----------
    Kulis, Bartlett, "Implicit online learning", ICML 2010; Toulis, Airoldi, "Asymptotic and
    finite-sample properties of estimators based on stochastic gradients", Annals of Statistics
    2017; Shamir, Zhang, "Stochastic gradient descent for non-smooth optimization", ICML 2013;
    Dawid, "Present position and potential developments: the prequential approach", JRSS A 1984;
    Page, "Continuous inspection schemes", Biometrika 1954.
    """

    solver = "implicit-sgd"
    # Whether a large loss means divergence. Here it comes from large targets, or from weights that
    # the penalty has not shrunk yet.
    runs_away = False

    def __init__(self, batch_size: int, expects_drift=True):
        self.batch_size = batch_size
        self._threshold = DRIFT_THRESHOLD if expects_drift else np.inf

    def start(self, problem: Problem, theta, earlier):
        """Begin at theta or, with theta=None, continue an earlier stream; the rows enter the
        statistics at once.
        """
        self.problem, objective = problem, problem.objective
        if theta is not None:
            coef, intercept = unpack(theta.astype(np.float64), objective.outputs, problem.by_column)
            if not (objective.loss.is_of_labels or theta.any()):
                intercept = constant_model(problem)[0]
            drift = np.zeros((objective.outputs, implicit.DRIFT_SUMS))
            if problem.by_column:
                self.state = SparseStream(coef, intercept, drift=drift)
            else:
                self.state = Stream(coef, intercept, coef, intercept, drift=drift)
        else:
            self.state = as_sparse(earlier) if problem.by_column else as_dense(earlier)
        self.state.open(problem)

    def epoch(self, order):
        """Take a step along each row in `order`; return an `Epoch`."""
        state, objective = self.state.begin(self.problem), self.problem.objective
        self.state, before = state, state.penalty_at(objective)
        try:
            loss, rate = self._descend(order)
            state.end()
        except BaseException:
            state.roll_back()
            raise
        return Epoch(loss + (before + state.penalty_at(objective)) / 2, 0.0, rate)

    def _descend(self, order):
        """(mean loss, last rate) of the rows in `order`; the average may restart on the way."""
        state, problem, objective = self.state, self.problem, self.problem.objective
        size, weights, term = min(self.batch_size, len(order)), problem.weights, problem.data_term
        total = len(order)
        if weights is not None:
            weights = weights / (state.weight / state.rows)
            term, total = problem.weighted(weights), float(weights[order].sum())
        rate = (1 if objective.tilt else size) * IMPLICIT_RATE
        rate = rate / (state.squared_norm + objective.intercept or 1.0)
        loss, done, report = 0.0, 0, np.array([self._threshold, 0.0, 0.0])
        while done < len(order):
            rest, seen = order[done:], state.rows - len(order) + done
            rows = seen - state.begun + size * np.arange(-(-len(rest) // size))
            rates, drift = rate / np.sqrt(1 + rows / RATE_HORIZON), (state.drift, report)
            average = state.average, state.averaged
            arguments = term.over(rest), state.v, state.scaling, rates, size, average
            loss += implicit.epoch(*arguments, lazy=state.lazy, drift=drift)
            has_drifted, visits = bool(report[1]), int(report[2])
            done, updates = done + visits, -(-visits // size)
            state.updates, state.averaged = state.updates + updates, state.averaged + updates
            if not visits:
                break
            if has_drifted:
                state.restart()
                state.begun, state.drift[:] = seen + visits, 0
        return loss / total, float(rates[updates - 1])

    def is_finite(self):
        return self.state.is_finite()

    def solution(self):
        """(coef, intercept) of the averaged iterates."""
        return self.state.solution()
