"""Products of the columns, or of the rows, for each fold of a cross-validation: X is read once.

The rows are cut into groups that the same folds train on; with k disjoint test sets these are the
test sets. The sums of a fold are those of its groups, or those of all rows without the others.
"""

from dataclasses import replace

import numpy as np

from fastgd.problem.metric import is_far
from fastgd.problem.products import (
    ProductSums,
    are_safe,
    product_sums,
    products_of,
    row_products,
    shift_of,
)
from fastgd.problem.records import Record

# Groups per fold, at most: folds that overlap more have their sums computed from their own rows.
# Five random splits make up to 32 groups, whose sums are no longer much cheaper.
MAX_GROUPS_PER_FOLD = 4
# Numbers of the groups' sums that are kept, at most: 512 MB. Beyond, they are computed again.
MAX_NUMBERS = 2**26
# A sum is taken as a difference only if that leaves this share of the squares of every column and
# target. Rounding then is at most four times that of the sum itself.
MIN_REMAINDER = 0.25


def groups_of(folds, n):
    """(group of each row, (folds, groups): whether a fold trains on a group), or None if there are
    too many groups; `folds` holds the rows that each fold trains on.
    """
    label, count, most = np.zeros(n, np.intp), 1, MAX_GROUPS_PER_FOLD * (len(folds) + 1)
    members = np.zeros((0, 1), bool)
    for rows in folds:
        is_in = np.zeros(n, bool)
        is_in[rows] = True
        if np.count_nonzero(is_in) < len(rows):  # a row is there twice
            return None
        label[is_in] += count
        present = np.flatnonzero(np.bincount(label, minlength=2 * count))
        members = np.vstack([np.tile(members, 2), np.arange(2 * count) >= count])[:, present]
        rank = np.empty(2 * count, np.intp)
        rank[present] = np.arange(len(present))
        label, count = rank[label], len(present)
        if count > most:
            return None
    return label, members


class FoldProducts:
    """The `Products` of the columns over the rows that each fold trains on.

    `problem` is that of all rows to train on, `folds` the rows of each fold.
    """

    def __init__(self, problem, folds):
        self.problem, self.folds = problem, folds
        self._shift = shift_of(problem)
        found = groups_of(folds, problem.rows.shape[0])
        self._members = self._total = None
        self._known = {}
        if found is None:
            return
        label, self._members = found
        own = label[problem.visits]
        order = np.argsort(own, kind="stable")
        ends = np.bincount(own, minlength=self._members.shape[1]).cumsum()
        self._groups = np.split(problem.visits[order], ends[:-1])
        self._keeps = len(self._groups) * len(self._shift) ** 2 <= MAX_NUMBERS
        self._total = self._sum(range(len(self._groups)))

    def _of_group(self, number):
        """The shifted sums over a group of rows."""
        if number in self._known:
            return self._known[number]
        rows = self._groups[number]
        if not len(rows):
            return np.zeros((len(self._shift), len(self._shift)))
        sums = product_sums(replace(self.problem, visits=rows), self._shift).G
        if self._keeps:
            self._known[number] = sums
        return sums

    def _sum(self, numbers):
        total = np.zeros((len(self._shift), len(self._shift)))
        for number in numbers:
            total += self._of_group(number)
        return total

    def of_all(self):
        """The `Products` over all rows; None as in `products_of`."""
        return self._centered(self.problem, self._total)

    def of_fold(self, number):
        """The `Products` over the rows that a fold trains on; None as in `products_of`."""
        problem = replace(self.problem, visits=self.folds[number])
        if self._members is None:
            return products_of(problem)
        is_in = self._members[number]
        used, left_out = np.flatnonzero(is_in), np.flatnonzero(~is_in)
        if len(left_out) < len(used):
            with np.errstate(invalid="ignore"):
                sums = self._total - self._sum(left_out)
                whole, rest = np.diagonal(self._total), np.diagonal(sums)
                is_stable = (rest >= MIN_REMAINDER * whole).all()
            if is_stable:
                return self._centered(problem, sums)
        return self._centered(problem, self._sum(used))

    def _centered(self, problem, G):
        p, centered = problem.rows.shape[1], problem.objective.intercept
        sums = ProductSums(G, self._shift, p, centered, problem.rows.sparse)
        if G is None or sums.is_far:
            return products_of(problem)
        with np.errstate(all="ignore"):
            return sums.products() if are_safe(problem, sums) else None


class FoldGram(Record):
    """The rows that a fold trains on, centred by their mean and times the roots of their shares.

    `gram` holds their products (m, m), `targets` are (m, targets) likewise, `cross` the products
    (others, m) of the centred other rows with the centred rows, not times any root.
    """

    gram: np.ndarray
    targets: np.ndarray
    mean_y: np.ndarray
    root: np.ndarray
    cross: np.ndarray


class RowProducts:
    """The products of the rows for each fold, where there are fewer rows than columns.

    `problem` is that of all rows, those of weight 0 included.
    """

    def __init__(self, problem):
        self.problem = replace(problem, visits=np.arange(problem.rows.shape[0]))
        self._center = self._mean(problem.row_shares, problem.training_X)
        self._gram = row_products(self.problem, self._center)

    def _mean(self, shares, X):
        is_centered = self.problem.objective.intercept
        return np.asarray(shares @ X, float) if is_centered else np.zeros(X.shape[1])

    def of(self, rows, others):
        """The `FoldGram` of training rows and others; None if numbers overflow."""
        problem = replace(self.problem, visits=rows)
        shares, gram = problem.row_shares, self._gram
        inner, cross = gram[np.ix_(rows, rows)], gram[np.ix_(others, rows)]
        if problem.objective.intercept:
            mean = inner @ shares
            square = np.array([shares @ np.diagonal(inner)])
            if is_far(np.sqrt(np.maximum([mean @ shares], 0)), square):
                # The rows lie far from the centre of all: they are centred anew.
                both = np.concatenate([rows, others])
                center = self._mean(shares, self.problem.X[rows])
                gram = row_products(replace(self.problem, visits=both), center)
                inner, cross = gram[: len(rows), : len(rows)], gram[len(rows) :, : len(rows)]
                mean = inner @ shares
            mean_square = mean @ shares
            cross = cross - mean - (cross @ shares)[:, None] + mean_square
            inner = inner - mean - mean[:, None] + mean_square
        root, targets = np.sqrt(shares), problem.targets
        mean_y = np.zeros(targets.shape[1])
        if problem.objective.intercept:
            mean_y = shares @ targets
        inner = inner * root * root[:, None]
        if not (np.isfinite(inner).all() and np.isfinite(cross).all()):
            return None
        return FoldGram(inner, root[:, None] * (targets - mean_y), mean_y, root, cross)
