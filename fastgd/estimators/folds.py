"""The folds of a cross-validation."""

import numpy as np


def row_numbers(rows, n):
    """The numbers of rows of n, which a splitter may give as numbers, also negative ones, or as a
    mask.
    """
    rows = np.asarray(rows)
    return np.arange(n)[rows if rows.size else rows.astype(int)]
