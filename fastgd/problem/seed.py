"""Seeds of random numbers."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state


def seed_of(random_state):
    """An integer below 2^32 from scikit-learn's `random_state`; an int is returned as it is,
    without the cost of a generator.
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
