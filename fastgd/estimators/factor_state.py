"""What a recommender knows: ids, rows of factors, and the unit of the ratings."""

from dataclasses import replace

import numpy as np

from fastgd.estimators.ratings import Ids, Statistics, merged
from fastgd.methods.matrix_factorization import width_of
from fastgd.problem.records import Record

# Parameters that may change only in a new fit.
FIXED_PARAMETERS = ("loss", "n_factors", "biased", "dtype")
# Variance of the products of the first factors; that of the ratings is 1.
INITIAL_SPREAD = 0.03
# Results are float64 where float32 cannot resolve this share of the ratings' spread.
FINE = 0.01
# Results are float64 where a rating is above this share of float32's largest number.
LARGE = 1e-6
# Stored rows are put in the unit of the ratings' spread once it has changed by this factor.
MAX_UNIT_RATIO = 4.0


class Side(Record):
    """The users, or the items.

    A row holds `factors` factors, its bias in the column `bias`, and 1 in the column of the other
    side's bias. The last row is that of whoever is unknown. `ages` are the epochs that each id has
    seen.
    """

    ids: Ids
    rows: np.ndarray
    ages: np.ndarray
    factors: int
    bias: int

    @property
    def known_rows(self):
        """The rows without that of whoever is unknown."""
        return self.rows[:-1]

    def grown(self, numbers, rng, factor, biased, positive):
        """With rows for all ids: random ones for those new ones that are in `numbers`, else zeros.

        Scores have to be multiplied by `factor` to be in units of the ratings' spread.
        """
        count, known, k = len(self.ids), len(self.ages), self.factors
        rows = np.zeros((count + 1, self.rows.shape[1]), self.rows.dtype)
        rows[:known] = self.known_rows
        new = numbers[numbers >= known]
        factors = rng.standard_normal((len(new), k)) * (INITIAL_SPREAD / k) ** 0.25
        factors /= factor**0.5
        rows[new, :k] = abs(factors) if positive else factors
        rows[:, 2 * k + 1 - self.bias] = biased
        ages = np.concatenate([self.ages, np.zeros(count - known, np.int64)])
        return Side(self.ids, rows, ages, self.factors, self.bias)

    def updated(self, numbers, rows, ages):
        """With these rows and ages for the ids `numbers`."""
        known, seen = self.rows.copy(), self.ages.copy()
        known[numbers], seen[numbers] = rows, ages
        return Side(self.ids, known, seen, self.factors, self.bias)

    def scaled(self, rows, factor):
        """Rows of this side whose scores are multiplied by a factor."""
        if factor == 1:
            return rows
        rows = rows.copy()
        rows[:, : self.factors] *= factor**0.5
        rows[:, self.bias] *= factor
        return rows

    def rebased(self, factor):
        """With scores multiplied by a factor, to be in units of the ratings' spread.

        Where the spread has grown, factors shrink. A product of two vectors near zero grows slowly,
        so factors keep the length that random ones begin with, halved for each epoch that they have
        seen: after few epochs they are still nearly random.
        """
        k, first = self.factors, (INITIAL_SPREAD * self.factors) ** 0.25
        rows = self.scaled(self.rows, factor)
        length, before = (np.linalg.norm(part[:-1, :k], axis=1) for part in (rows, self.rows))
        wanted = np.maximum(length, np.minimum(before, first * 0.5**self.ages))
        rows[:-1, :k] *= (wanted / np.where(length > 0, length, 1))[:, None]
        return replace(self, rows=rows)


class FactorState(Record):
    """The state of a recommender after so many `epochs`.

    Rows are stored in units of `unit`, which is 0 while all ratings are equal, and trained in units
    of the ratings' spread. `met` holds who has met what, a CSR matrix or pairs of numbers for each
    call.
    """

    users: Side
    items: Side
    parameters: dict
    statistics: Statistics | None = None
    unit: float = 0.0
    mean: float = 0.0
    limits: tuple = (np.inf, -np.inf)
    met: tuple = ()
    epochs: int = 0

    @classmethod
    def empty(cls, parameters):
        """Nothing is known; `parameters` are those that may not change."""
        k, dtype = parameters["n_factors"], parameters["dtype"]
        rows, ages = np.zeros((1, width_of(k, dtype)), dtype), np.zeros(0, np.int64)
        users, items = Side(Ids("user"), rows, ages, k, k), Side(Ids("item"), rows, ages, k, k + 1)
        return cls(users, items, parameters)

    @property
    def sides(self):
        return self.users, self.items

    @property
    def is_implicit(self):
        """Whether values are weights of interactions."""
        return self.parameters["loss"] != "squared_error"

    @property
    def factor(self):
        """The factor from `unit` to units of the ratings' spread."""
        if self.is_implicit or self.unit == self.statistics.spread:
            return 1.0
        return self.unit / self.statistics.spread if self.unit else 0.0

    def learn(self, *columns):
        """Learn the ids in the columns of users and items; return their numbers."""
        pairs = zip(self.sides, columns, strict=True)
        return [side.ids.numbers(column, learn=True) for side, column in pairs]

    def roll_back(self):
        """Forget the ids that a failed fit has learnt: they have no rows."""
        for side in self.sides:
            side.ids.forget(len(side.ages))

    @property
    def default(self):
        """What a value is that is not given; None: it has to be."""
        return 1.0 if self.is_implicit else None

    def check(self, values):
        """Refuse weights of interactions below zero."""
        if self.is_implicit and values.min() < 0:
            raise ValueError(
                f"Weights of interactions must be >= 0 for loss={self.parameters['loss']!r}, the "
                f"least is {values.min():g}"
            )

    def take_in(self, known, partial):
        """Update the statistics of ratings or weights by those of new ones; `partial`: pool them
        with earlier ones.
        """
        before, ends = self.statistics, (known.least, known.most)
        if partial and before:
            known = before.merge(known)
        if not np.isfinite(known.spread):
            raise ValueError("The ratings are too large: their differences overflow")
        if self.is_implicit and known.mean == 0 and not partial:
            raise ValueError("All interactions have weight 0")
        self.limits = min(self.limits[0], ends[0]), max(self.limits[1], ends[1])
        if self.is_implicit:
            self.statistics, self.unit = known, 1.0
        elif partial:
            self._follow(known)
        else:
            if before:
                factor = self.factor
                self.users, self.items = (
                    replace(side, rows=side.scaled(side.rows, factor)) for side in self.sides
                )
            self.statistics, self.unit, self.mean = known, known.spread, known.mean

    def _follow(self, known):
        """Adopt the statistics `known`; the items' biases keep predictions as they were."""
        if self.unit and self.parameters["biased"]:
            rows = self.items.rows.copy()
            rows[:-1, self.items.bias] += (self.mean - known.mean) / self.unit
            self.items = replace(self.items, rows=rows)
        known.spread = known.spread or self.unit
        self.statistics, self.mean = known, known.mean
        if not 1 / MAX_UNIT_RATIO <= self.factor <= MAX_UNIT_RATIO:
            if self.unit:
                self.users, self.items = (side.rebased(self.factor) for side in self.sides)
            self.unit = known.spread

    def standardised(self, values):
        """Ratings standardised, or weights relative to their mean."""
        known = self.statistics
        if self.is_implicit:
            return values / (known.mean or 1.0)
        return (values - known.mean) / (known.spread or 1.0)

    def items_met(self):
        """Who has met what: a CSR matrix, users x items."""
        self.met = (merged(self.met, (len(self.users.ids), len(self.items.ids))),)
        return self.met[0]

    # ---- results ----

    def factors_of(self, side):
        """The factors in units of the ratings."""
        return side.known_rows[:, : side.factors].astype(self.dtype) * self.unit**0.5

    def biases_of(self, side):
        """The biases in units of the ratings."""
        return side.known_rows[:, side.bias].astype(self.dtype) * self.unit

    def ratings_of(self, scores):
        """Scores in units of the ratings, the mean included."""
        scores = scores.astype(np.float64)
        scores = scores * self.unit if self.unit else np.where(np.isneginf(scores), scores, 0.0)
        return (self.mean + scores).astype(self.dtype)

    @property
    def dtype(self):
        """The dtype of results: float64 where float32 cannot resolve `FINE` of the spread."""
        dtype, (least, most) = self.users.rows.dtype, self.limits
        if self.is_implicit or dtype == np.float64:
            return dtype
        size, fine, precision = max(abs(least), abs(most)), FINE * self.unit, np.finfo(dtype)
        resolved = max(float(precision.eps) * size, float(precision.tiny)) <= fine
        held = size == 0 or (resolved and size <= LARGE * float(precision.max))
        return dtype if held else np.dtype(np.float64)
