"""Penalties with a kink or a bound at weights of 0: their subgradients and proximal operator."""

import numpy as np

from fastgd.problem.records import Record


class NonsmoothPenalty(Record):
    """The nonsmooth part of the penalty, l1 |w| or w >= 0, by its subdifferential [-below, above]
    at a weight of 0, (p,) numbers each.

    `below` is infinite for weights that have to be >= 0. Both are 0 where the penalty is smooth.
    """

    above: np.ndarray
    below: np.ndarray

    @classmethod
    def of(cls, l1, positive):
        """The penalty of these strengths, of weights >= 0 if `positive`."""
        return cls(l1, np.full_like(l1, np.inf) if positive else l1)

    def __getitem__(self, columns):
        return NonsmoothPenalty(self.above[columns], self.below[columns])

    @property
    def is_nonsmooth(self):
        return self.below > 0

    @property
    def lower_bounds(self):
        """The lower bounds of the weights, 0 or -infinity; None if all are -infinity."""
        return np.where(np.isinf(self.below), 0.0, -np.inf) if np.isinf(self.below).any() else None

    def subgradient(self, v, g):
        """The minimum-norm subgradient, given the gradient g of the smooth part."""
        return np.where(
            v != 0, g + self.above * np.sign(v), g - np.clip(g, -self.above, self.below)
        )

    def norm(self, v, g):
        """The norm of the minimum-norm subgradient."""
        return float(np.sqrt((self.subgradient(v, g) ** 2).sum()))

    def signs(self, v, g):
        """The sign of each v_j just after a descent step from v: that of v_j or, at 0, of -g_j; 0
        where 0 is optimal.
        """
        return np.where(
            v != 0, np.sign(v), np.where(g < -self.above, 1.0, np.where(g > self.below, -1.0, 0.0))
        )

    def prox(self, v, rates):
        """argmin of |w - v|^2 / (2 rates) + the penalty."""
        # An infinite slope times a rate of 0 is invalid.
        with np.errstate(invalid="ignore"):
            return v - np.clip(
                v, np.nan_to_num(-rates * self.below, neginf=-np.inf), rates * self.above
            )
