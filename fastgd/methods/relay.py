"""One method after another."""

from fastgd.methods.method import Method


class Relay(Method):
    """Train by a method until it gives up, by a StopIteration; then, from its model, by the one
    that `make_other()` returns.
    """

    def __init__(self, first, make_other):
        self._method, self._make_other = first, make_other

    def start(self, problem, theta, earlier):
        """Begin the first method."""
        self.problem = problem
        self._method.start(problem, theta, earlier)

    def epoch(self, order):
        """An epoch of the method at hand."""
        try:
            return self._method.epoch(order)
        except StopIteration:
            self._method.finish()
            theta, self._method = self._method.state.theta, self._make_other()
            self._method.start(self.problem, theta, None)
            return self._method.epoch(order)

    @property
    def state(self):
        """The state of the method at hand."""
        return self._method.state

    @state.setter
    def state(self, state):
        self._method.state = state

    @property
    def exhausted(self):
        """Whether the method at hand can gain no more than rounding."""
        return self._method.exhausted

    def optimality(self):
        """That of the method at hand."""
        return self._method.optimality()

    def solution(self):
        """(coef, intercept)"""
        return self._method.solution()

    def loss_at(self, theta):
        """The objective at theta."""
        return self._method.loss_at(theta)

    def is_finite(self):
        """Whether all parameters are finite."""
        return self._method.is_finite()

    def finish(self, certify=True):
        """End training."""
        self._method.finish(certify)
