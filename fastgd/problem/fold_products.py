"""Products of the columns, or of the rows, for each fold of a cross-validation: one pass over X.

The rows are cut into groups: those of a group are in the same training and test sets. With k
disjoint test sets, these are the groups. The sums over a set are those of its groups, or the sums
over all rows minus those of the other groups.
"""

from dataclasses import replace

import numpy as np

from fastgd.problem.metric import is_far
from fastgd.problem.products import are_safe, product_sums, products_of, row_products, shift_of
from fastgd.problem.records import Record

# Groups per fold, at most. Five random splits make up to 32 groups, whose sums are no longer much
# cheaper than a pass for each fold.
MAX_GROUPS_PER_FOLD = 4
# Numbers of the groups' sums, at most: 512 MB. Beyond, there are no groups.
MAX_NUMBERS = 2**26
# Sums over a fold are used if, for each column and target, the squares of all rows from which they
# were computed are at most this number of times the fold's squared deviations from its mean. The
# rounding of sums is proportional to their squares: it is then at most so many times that of sums
# about the fold's mean, and twice that for a difference. Otherwise the fold has a pass of its own.
# Folds that are alike do not exceed 4: squares about the median are at most twice those about the
# mean, as the two are within one standard deviation, and all rows have twice those of half of them.
MAX_EXCESS = 4


def rest_of(rows, is_used):
    """The numbers of the rows used that are not among these; None if one of these repeats."""
    is_left = is_used.copy()
    is_left[rows] = False
    rest = np.flatnonzero(is_left)
    return rest if len(rows) + len(rest) == np.count_nonzero(is_used) else None


def groups_of(sets, is_used, most):
    """(group of each row, number of groups): the rows of a group are in the same sets. `is_used`
    says which rows count. None if a set has a row twice, or if there are more than `most` groups.
    """
    group, sizes = np.zeros(len(is_used), np.intp), np.array([np.count_nonzero(is_used)])
    for rows in sets:
        rest = rest_of(rows, is_used)
        if rest is None:
            return None
        part = rest if len(rest) < len(rows) else rows
        own = group[part]
        inside = np.bincount(own, minlength=len(sizes))
        split = np.flatnonzero((inside > 0) & (inside < sizes))
        if len(split):
            target = np.arange(len(sizes))
            target[split] = np.arange(len(sizes), len(sizes) + len(split))
            group[part] = target[own]
            sizes[split] -= inside[split]
            sizes = np.concatenate([sizes, inside[split]])
        if len(sizes) > most:
            return None
    return group, len(sizes)


class FoldProducts:
    """The `Products` of a problem's rows and of each fold's training rows, and the `ProductSums` of
    its test rows. `trainings` and `tests` hold the rows of each fold, which the problem has, too.

    `whole` are the products of all rows, None if squares overflow or underflow.
    """

    @np.errstate(all="ignore")
    def __init__(self, problem, trainings, tests=()):
        self._problem, self._trainings, self._tests = problem, trainings, tests
        self._shift, self._group, self._sums = shift_of(problem), None, None
        self._is_used = np.zeros(problem.rows.shape[0], bool)
        self._is_used[problem.visits] = True
        most = MAX_GROUPS_PER_FOLD * (len(trainings) + 1)
        # Small sets first: a training set that is the complement of a test set splits no group.
        found = groups_of([*tests, *trainings], self._is_used, most)
        if found and found[1] * len(self._shift) ** 2 <= MAX_NUMBERS:
            self._group, count = found
            own = self._group[problem.visits]
            ends = np.bincount(own, minlength=count).cumsum()
            order = np.argsort(own.astype(np.min_scalar_type(count)), kind="stable")
            self._rows_of_groups = np.split(problem.visits[order], ends[:-1])
        self._total = self._sum_all()
        if not self._are_accurate(self._total) and np.isfinite(self._total.G).all():
            # The rows of which the medians were taken are not like the others.
            self._shift = self._shift + self._total.means * self._total.is_shifted
            self._total = self._sum_all()
        self.whole = self._total.products() if are_safe(problem, self._total) else None

    def _sum_all(self):
        """The sums over all rows; those of the groups are kept."""
        if self._group is None:
            return product_sums(self._problem, self._shift)
        self._sums = [self._sum_rows(rows) for rows in self._rows_of_groups]
        return _added(self._sums)

    def _sum_rows(self, rows):
        return product_sums(replace(self._problem, visits=rows), self._shift)

    def _groups_in(self, rows):
        """The numbers of the groups that make up these rows."""
        return np.flatnonzero(np.bincount(self._group[rows], minlength=len(self._sums)))

    def _over(self, rows):
        """The sums over a set of rows, one that is made up of groups if there are any."""
        if self._group is None:
            return self._sum_rows(rows)
        return _added([self._sums[k] for k in self._groups_in(rows)])

    def _are_few(self, rows):
        """Whether the sums over some rows take less work than those over the others."""
        if self._group is None:
            return 2 * len(rows) < len(self._problem.visits)
        return 2 * len(self._groups_in(rows)) < len(self._sums)

    def _are_accurate(self, sums, squares=None):
        """Whether sums may be used, as `MAX_EXCESS` says; a difference is computed from the
        `squares` of all rows.
        """
        if squares is not None:
            return (squares <= MAX_EXCESS * sums.deviations).all()
        # Sums of their own would have sparse columns about 0, too.
        is_small = np.diagonal(sums.G) <= MAX_EXCESS * sums.deviations
        return (is_small | ~sums.is_shifted).all()

    def of_test(self, k):
        """The `ProductSums` of the test rows of a fold."""
        return self._over(self._tests[k])

    @np.errstate(all="ignore")
    def of_training(self, k, of_test=None):
        """The `Products` of the training rows of a fold, given the sums of its test rows if they
        are known; None if squares overflow or underflow.
        """
        rows = self._trainings[k]
        others = rest_of(rows, self._is_used)
        if others is not None and len(others) and self.whole and self._are_few(others):
            is_known = self._group is None and of_test is not None
            is_known = is_known and np.array_equal(np.sort(self._tests[k]), others)
            sums = self._total.without(of_test if is_known else self._over(others))
            if self._are_accurate(sums, np.diagonal(self._total.G)):
                return sums.products()
        problem = replace(self._problem, visits=rows)
        if self._group is not None:
            sums = self._over(rows)
            if self._are_accurate(sums):
                return sums.products() if are_safe(problem, sums) else None
        return products_of(problem)


def _added(sums):
    """The sums over disjoint sets of rows, added in their order."""
    if len(sums) == 1:
        return sums[0]
    G = sums[0].G + sums[1].G
    for others in sums[2:]:
        G += others.G
    return replace(sums[0], G=G)


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

    @np.errstate(over="ignore", invalid="ignore")
    def __init__(self, problem):
        self.problem = replace(problem, visits=np.arange(problem.rows.shape[0]))
        self._center = self._mean(problem.row_shares, problem.training_X)
        self._gram = row_products(self.problem, self._center)

    def _mean(self, shares, X):
        is_centered = self.problem.objective.intercept
        return np.asarray(shares @ X, float) if is_centered else np.zeros(X.shape[1])

    @np.errstate(over="ignore", invalid="ignore")
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
