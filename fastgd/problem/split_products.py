"""Products of the columns for cross-validation: of the training rows and of the test rows of each
fold, from one pass over X where the folds allow it.
"""

from dataclasses import replace

import numpy as np

from fastgd.problem.products import product_sums, sums_of

# The sums of the test rows of all folds are held, rather than computed again, if they take at most
# this number of bytes.
MAX_HELD_BYTES = 2**28
# The sums of training rows are the difference of those of all rows and of the test rows if no
# column's squares among all rows exceed its squared deviations among the training rows more than so
# many times: three of sixteen digits are then lost to rounding. Otherwise they are summed.
MAX_LOST = 1e3


class SplitProducts:
    """The `ProductSums` of a problem's rows, and by fold of the test and of the training rows.

    `folds` are pairs of arrays of row numbers. Rows with weight 0 may be among them.
    """

    def __init__(self, problem, folds):
        self._problem, self._folds = problem, folds
        self.total = sums_of(problem)
        self._tests = {}

    @classmethod
    def of(cls, problem, folds):
        """Those of a problem, or None if squares overflow or underflow."""
        n = problem.rows.shape[0]
        tests = np.concatenate([test for _, test in folds])
        q = problem.rows.shape[1] + 2
        is_partition = len(problem.visits) == n == len(tests) and are_distinct(tests, n)
        if not is_partition or len(folds) * q * q * 8 > MAX_HELD_BYTES or len(folds) < 2:
            made = cls(problem, folds)
            return None if made.total is None else made
        # The sums of all rows are those of the folds' test rows.
        made = cls.__new__(cls)
        made._problem, made._folds = problem, folds
        first = sums_of(replace(problem, visits=folds[0][1]))
        if first is None:
            return None
        others = [product_sums(replace(problem, visits=t), first.shift) for _, t in folds[1:]]
        made._tests = dict(enumerate([first, *others]))
        made.total = replace(first, G=np.sum([sums.G for sums in made._tests.values()], axis=0))
        if not np.isfinite(np.diagonal(made.total.G)).all() or made.total.is_far:
            # The first fold is not like the others.
            made = cls(problem, folds)
            return None if made.total is None else made
        return made

    def of_test(self, k):
        """The sums over the test rows of a fold."""
        if k not in self._tests:
            return product_sums(replace(self._problem, visits=self._folds[k][1]), self.total.shift)
        return self._tests[k]

    def of_training(self, k, test):
        """The `Products` of the training rows of a fold, given the sums of its test rows; None if
        squares overflow or underflow.
        """
        train, tested = self._folds[k]
        visits = self._problem.visits
        is_rest = len(train) + len(tested) == len(visits) and are_distinct(
            np.concatenate([train, tested]), self._problem.rows.shape[0]
        )
        if is_rest and len(visits) == self._problem.rows.shape[0]:
            sums = self.total.without(test)
            with np.errstate(all="ignore"):
                products = sums.products()
                squares = np.diagonal(self.total.G) / sums.weight
            left = np.append(np.diagonal(products.XX), products.YY)
            squares = np.delete(squares, sums.p)
            if sums.weight * MAX_LOST > self.total.weight and (MAX_LOST * left >= squares).all():
                return products
        sums = sums_of(replace(self._problem, visits=train))
        return None if sums is None else sums.products()


def are_distinct(rows, n):
    """Whether row numbers, of n rows, do not repeat."""
    return len(rows) == 0 or np.bincount(rows, minlength=n).max() <= 1
