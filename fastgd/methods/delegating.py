"""Methods that leave training to others."""

from fastgd.methods.method import Method


class Delegating(Method):
    """A method whose verbs are those of the method `_method`, but for those that it overrides."""

    _method: Method | None = None

    @property
    def solver(self):
        """The name of the method at hand."""
        return self._method.solver

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

    def epoch(self, order):
        """An epoch of the method at hand."""
        return self._method.epoch(order)

    def optimality(self):
        """That of the method at hand."""
        return self._method.optimality()

    def solution(self):
        """(coef, intercept)"""
        return self._method.solution()

    def loss_at(self, theta):
        """The objective at theta."""
        return self._method.loss_at(theta)

    def is_smooth(self):
        """Whether the decrement estimates the distance to the minimum."""
        return self._method.is_smooth()

    def bounds(self):
        """(bound or estimate of F*, the objective that it was computed at)"""
        return self._method.bounds()

    def is_finite(self):
        """Whether all parameters are finite."""
        return self._method.is_finite()

    def finish(self, certify=True):
        """End training."""
        self._method.finish(certify)

    def close(self):
        """Drop what would keep the rows in memory."""
        if self._method is not None:  # the start may have failed
            self._method.close()

    def resume_point(self):
        """What `resume` needs."""
        return self._method.resume_point()


class Relay(Delegating):
    """Train by the method `first` until it gives up, by a StopIteration of `epoch`; then, from its
    model, by the one that `make_other()` returns.
    """

    def __init__(self, first, make_other):
        self._method, self._make_other, self._has_switched = first, make_other, False

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
            theta = self._method.state.theta
            self._switch()
            self._method.start(self.problem, theta, None)
            return self._method.epoch(order)

    def gaps(self):
        """The duality gaps of the targets, if they are known."""
        return self._method.gaps()

    def slopes_and_gradient(self):
        """(slopes of the losses, gradient of the mean loss) at the model, if they are known."""
        return self._method.slopes_and_gradient()

    def _switch(self):
        self._method, self._has_switched = self._make_other(), True

    def resume_point(self):
        """What `resume` needs."""
        return self._has_switched, self._method.resume_point()

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`."""
        self.problem = problem
        has_switched, point = resume_point
        if has_switched:
            self._switch()
        self._method.resume(problem, point)
