"""Recommender systems: matrix factorization by stochastic gradient descent, and the measures of its
rankings.
"""

from contextlib import contextmanager
from copy import copy
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.parameters import SGD_CONSTRAINTS, checked, thread_count
from fastgd.estimators.ratings import Ids, Statistics, as_column, as_grid, as_interactions, lay_out
from fastgd.estimators.resumption import Resumption, fingerprint
from fastgd.kernels import factorization
from fastgd.kernels.losses import Loss
from fastgd.methods.matrix_factorization import Factorization, Factors, Seeds, width_of
from fastgd.methods.schedules import Schedule, as_schedule
from fastgd.problem.order import seed_of
from fastgd.training.fit_callbacks import SupportsFitCallbacks
from fastgd.training.history import History, copy_of
from fastgd.training.loop import Stopping, Training
from fastgd.training.multi_start import MultiStart

ALPHA, IMPLICIT_ALPHA = 0.1, 0.03
INITIAL_SPREAD = 0.03  # variance of the products of the first factors, the ratings' being 1
CHUNK = 1 << 24  # scores held at a time
# Results are float64 where float32 cannot resolve this share of the ratings' spread.
FINE = 0.01
# Results are float64 where a rating is above this share of float32's largest number.
LARGE = 1e-6
# Stored rows are put in the unit of the ratings' spread once it has changed by this factor.
REBASED = 4.0
SCHEDULES = ("auto", "constant", "invscaling", "adaptive", "step", "cosine", "one_cycle")


class MatrixFactorization(SupportsFitCallbacks, BaseEstimator):
    """Recommender by matrix factorization: a vector of factors for every user and every item, by
    stochastic gradient descent.

    The score of user u and item i is ``z_ui = p_u' q_i + b_u + c_i``. Minimises the mean over all
    ratings or interactions (u, i) of::

        L + alpha / 2 (|p_u|^2 + |q_i|^2 + b_u^2 + c_i^2)

    where L depends on `loss`; users and items are penalised in proportion to their ratings.

    Parameters
    ----------
    loss : {'squared_error', 'log_loss', 'bpr'}, default='squared_error'
        L, with ``l(z) = log(1 + exp(-z))``:

        - 'squared_error' for explicit ratings r: ``(r' - z_ui)^2 / 2``, with the ratings
          standardised, ``r' = (r - m) / s``, by their mean m and standard deviation s, so that no
          parameter depends on their scale
        - 'log_loss' for implicit feedback: ``l(z_ui)`` and, for `n_negatives` items j drawn from
          those that u has not met, ``l(-z_uj)``
        - 'bpr', Bayesian personalised ranking, for implicit feedback: ``l(z_ui - z_uj)`` for items
          j drawn likewise

        For implicit feedback values are weights of the interactions, relative to their mean; of one
        with weight 0 it is only known that the user has met the item.

    n_factors : int, default=50
        Length of the vectors p and q.

    alpha : float or 'auto', default='auto'
        Strength of the L2 penalty. 'auto': 0.1 for 'squared_error', 0.03 for the other losses.

    biased : bool, default=True
        Whether there are the biases b and c. (With 'bpr' b says nothing and stays 0.)

    positive : bool, default=False
        Whether all factors p and q must be at least 0 (non-negative factorization); biases may be
        of either sign.

    n_negatives : int, default=3
        Items drawn for each interaction of implicit feedback.

    max_iter : int, default=30
        Most epochs: sweeps over all ratings.

    tol : float or None, default=1e-4
        Training stops when the loss (with `early_stopping` that of the ratings held out) has not
        fallen by `tol` below its best for `n_iter_no_change` epochs in a row. None: all `max_iter`
        epochs.

    learning_rate : str or schedule, default='auto'
        'auto': none to choose. A user's or item's row has the rate ``0.1 / (1 + a / 5)`` after the
        a epochs that it has seen, and each step is implicit: its slope is taken where it leads to,
        so that no rate is too high. Other names ('constant', 'invscaling', 'adaptive', 'step',
        'cosine', 'one_cycle') and schedules set the rate of plain steps from epoch to epoch.

    eta0 : float, default=0.01
        First rate of the named schedules; 'auto' does not read it.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    early_stopping : bool, default=False
        Whether to hold ratings out, to stop when their loss (the penalty left out) no longer falls,
        and to go back to the epoch where it was lowest.

    validation_fraction : float, default=0.1
        The share of the ratings held out.

    n_iter_no_change : int, default=5
        Epochs without improvement before training stops.

    clip : bool, default=True
        Whether `predict` keeps within the ratings met in training ('squared_error' only).

    handle_unknown : {'ignore', 'error'}, default='ignore'
        What to do with users and items not met in training: 'ignore' takes their factors and biases
        to be zero, so that a known item's bias and the mean rating remain; 'error' raises a
        ValueError.

    dtype : {'float32', 'float64'}, default='float32'
        Precision of factors and arithmetic. Results are float64 where float32 could not hold the
        ratings: those with a spread far below their size, or beyond float32's range.

    n_jobs : int, default=None
        Threads inside one fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    random_state : int, RandomState instance or None, default=None
        Seed of the first factors, of the order of the visits and of the items drawn. Same seed,
        same bits.

    verbose : int, default=0
        1 or more: show the progress.

    warm_start : bool, default=False
        Whether `fit` goes on from the last one's factors. Where neither ratings nor parameters have
        changed (but for `max_iter`, `max_seconds`, `tol`, `verbose` and `n_jobs`) it takes the very
        steps that a longer training would have taken; else users and items that are new get new
        factors, as in `partial_fit`, and the others begin with theirs, in units of the spread of
        the new ratings.

    max_seconds : float, default=None
        No epoch begins in `fit` later than that. None: no matter how long it takes.

    Attributes
    ----------
    user_ids_, item_ids_ : ndarray
        The ids met in training; the rows of the attributes below are in this order.
    user_factors_, item_factors_ : ndarray of shape (n_users, n_factors), (n_items, n_factors)
        In units of the ratings: ``mean_rating_ + user_biases_[u] + item_biases_[i] +
        user_factors_[u] @ item_factors_[i]``.
    user_biases_, item_biases_ : ndarray of shape (n_users,), (n_items,)
    mean_rating_ : float
        The global bias: the ratings' mean (after `partial_fit` that of all ratings so far); 0 for
        implicit feedback.
    history_ : dict of lists
        Loss, gradient norm, learning rate and seconds of every epoch, the validation loss too with
        `early_stopping`. The losses of 'log_loss' and 'bpr' are those of the items drawn.
    n_iter_ : int
        Epochs of the last `fit` or `partial_fit`.
    stop_reason_ : str
        Why training stopped: 'plateau', 'validation', 'max_iter', 'max_seconds', 'callback', 'tol'
        where all ratings are equal, so that their mean is the model, or, after Ctrl-C,
        'interrupted'.
    best_epoch_ : int
        With `early_stopping`: the epoch, from 1, whose model this is.

    Notes
    -----
    X is one of: a sparse matrix users x items, whose stored entries, zeros included, are the
    ratings; three columns (user, item, rating) of an array, a data frame or a list of rows, with
    y=None; or columns (user, item) with the ratings as y, the form for scikit-learn's own scorers
    (a third column is then not read). For implicit feedback y may be left out: all weights are 1.
    Ids may be anything hashable; an integer-valued float is the integer. In a sparse matrix they
    are the numbers of rows and columns, and a row without an entry is an unknown user. A pair that
    is there twice is two ratings.

    Ratings lie in a grid, blocks of users x blocks of items, that depends on sizes alone. Cells
    without common users and items are swept in parallel: the result has the same bits for any
    number of threads.

    References
    ----------
    Koren, Bell, Volinsky, "Matrix factorization techniques for recommender systems", Computer
    42(8), 2009. Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI
    2009. Gemulla et al., "Large-scale matrix factorization with distributed stochastic gradient
    descent", KDD 2011.

    Examples
    --------
    >>> from fastgd import MatrixFactorization
    >>> ratings = [("anna", "Alien", 5), ("anna", "Brazil", 4), ("ben", "Alien", 4),
    ...            ("ben", "Casablanca", 1), ("cleo", "Brazil", 5)]
    >>> model = MatrixFactorization(n_factors=2, random_state=0).fit(ratings)
    >>> model.predict([("cleo", "Alien"), ("cleo", "Casablanca")]).round(1)
    array([4.8, 3.6], dtype=float32)
    >>> ids, scores = model.recommend(["ben"], 1)
    >>> ids
    array([['Brazil']], dtype='<U10')
    """

    _parameter_constraints = {
        name: SGD_CONSTRAINTS[name]
        for name in (
            "max_iter",
            "tol",
            "eta0",
            "power_t",
            "early_stopping",
            "validation_fraction",
            "n_iter_no_change",
            "n_jobs",
            "random_state",
            "verbose",
            "max_seconds",
            "warm_start",
        )
    } | {
        "loss": [StrOptions({"squared_error", "log_loss", "bpr"})],
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "biased": ["boolean"],
        "positive": ["boolean"],
        "n_negatives": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(SCHEDULES)), Schedule],
        "clip": ["boolean"],
        "handle_unknown": [StrOptions({"ignore", "error"})],
        "dtype": [StrOptions({"float32", "float64"})],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        n_factors=50,
        alpha="auto",
        biased=True,
        positive=False,
        n_negatives=3,
        max_iter=30,
        tol=1e-4,
        learning_rate="auto",
        eta0=0.01,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        clip=True,
        handle_unknown="ignore",
        dtype="float32",
        n_jobs=None,
        random_state=None,
        verbose=0,
        max_seconds=None,
        warm_start=False,
    ):
        self.loss = loss
        self.n_factors = n_factors
        self.alpha = alpha
        self.biased = biased
        self.positive = positive
        self.n_negatives = n_negatives
        self.max_iter = max_iter
        self.tol = tol
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.clip = clip
        self.handle_unknown = handle_unknown
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.max_seconds = max_seconds
        self.warm_start = warm_start

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.string = tags.input_tags.categorical = True
        tags.target_tags.required = False
        return tags

    # ---- training ----

    @checked
    @with_callbacks
    def fit(self, X, y=None):
        """Train from the start (with `warm_start` from the last factors).

        Parameters
        ----------
        X : sparse matrix, or two or three columns
            Ratings; see Notes for the forms.
        y : array-like of shape (n_ratings,), default=None
            The ratings, if X has two columns.

        Returns
        -------
        self : MatrixFactorization

        Raises
        ------
        ValueError
            For ratings that are not finite numbers, missing ids, duplicate column names, weights
            below zero, and, as a `DivergedError`, where rates of the user's own made the loss
            explode; the model is as it was before then.
        """
        fit_callbacks = self._fit_callbacks(X, y, None)
        with self._unchanged_on_error():
            return self._train(X, y, fit_callbacks=fit_callbacks)

    @checked
    def partial_fit(self, X, y=None):
        """One epoch over more ratings, with new users and items where there are any; none are held
        out.

        Rows have rates by the epochs that they themselves have seen. The ratings' mean and spread
        (of implicit feedback the mean weight) are those of all ratings so far, so the first call
        may hold a single one. Where they change, what the model predicts for an item it knows stays
        the same: the items' biases make up for the mean. Without biases predictions move with the
        mean.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        self : MatrixFactorization
        """
        with self._unchanged_on_error():
            return self._train(X, y, partial=True)

    @contextmanager
    def _unchanged_on_error(self):
        """What fails leaves the model as it was, without the users and items that came with it."""
        known = [
            (ids, len(ids))
            for ids in (vars(self).get("_users"), vars(self).get("_items"))
            if ids is not None
        ]
        history = vars(self).get("history_")
        try:
            with unchanged_on_error(self):
                yield
        except BaseException:
            if vars(self).get("history_") is history:
                for ids, count in known:
                    ids.forget(count)
            raise

    def _train(self, X, y, partial=False, fit_callbacks=None):
        """Train and store the model. `partial`: one epoch more (partial_fit)."""
        implicit = self.loss != "squared_error"
        users, items, values = as_interactions(X, y, 1.0 if implicit else None)
        earlier = None if partial else self._resumable(users, items, values)
        if not ((partial or self.warm_start) and hasattr(self, "_users")):
            self._begin()
        for name, value in self._fixed.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}, but the model was begun with {value!r}: "
                    "that needs a new fit"
                )
        users = self._users.numbers(users, learn=True)
        items = self._items.numbers(items, learn=True)
        data = fingerprint(users, items, values) if self.warm_start and not partial else None
        seed = earlier.random_state if earlier else seed_of(self.random_state)
        self._begun = self._begun if earlier else self.t_
        if not earlier:
            self._take_in(values, implicit, partial)
        scaled = self._scaled(values)
        factors, layout, held_out = self._factors_of(users, items, scaled, seed, partial, earlier)
        method, theta = Factorization(self._schedule()), None
        if earlier:
            method.resume(factors, earlier.runs[0].resume_point.method)
        else:
            rows = self._rows[0][layout.users], self._rows[1][layout.items]
            theta = np.concatenate(
                [self._in_unit(part, side, self._factor).ravel() for side, part in enumerate(rows)]
            )
            ages = np.concatenate([self._ages[0][layout.users], self._ages[1][layout.items]])
            method.start(factors, theta, ages, self.t_ + 1)
        training = self._training(method, theta, seed, held_out, partial, earlier, data)
        if fit_callbacks:
            fit_callbacks.begin(lambda training: self._attributes(training, layout, seed, data))
        try:
            MultiStart([training], fit_callbacks).run()
        except KeyboardInterrupt:
            if training.epochs:
                self._publish(training, layout, seed, data)
            raise
        self._publish(training, layout, seed, data)
        if fit_callbacks:
            fit_callbacks.end(training)
        return self

    def _resumable(self, users, items, values):
        """The last fit's `Resumption`, if nothing has changed since; None: there is nothing to
        resume.
        """
        earlier = vars(self).get("_resumption") if self.warm_start else None
        if earlier and earlier.fits(
            self, fingerprint(self._users.numbers(users), self._items.numbers(items), values)
        ):
            return earlier
        return None

    def _factors_of(self, users, items, values, seed, partial, earlier):
        """(what the method is told, layout, the grid of the ratings held out or None); who is new
        gets rows.
        """
        implicit, rng = self.loss != "squared_error", np.random.default_rng([seed, self._begun])
        training, held_out = self._split(len(values), rng, partial)
        layout, users, items = lay_out(
            users, items, (len(self._users), len(self._items)), implicit, rng
        )
        self._grow(rng, layout, users[training], items[training], implicit)
        if not earlier:
            self._met = [*self._met, (layout.users[users], layout.items[items])]
        met = self._items_met()[layout.users][:, layout.items] if implicit else None
        if implicit:
            met.sort_indices()
        values = values.astype(self.dtype)
        grids = [
            as_grid(layout, users[part], items[part], values[part], met)
            for part in (training, held_out)
        ]
        course = {
            "loss": int(Loss.LOG_LOSS if implicit else Loss.SQUARED_ERROR),
            "pairwise": self.loss == "bpr",
            "negatives": self.n_negatives if implicit else 0,
            "factors": self.n_factors,
            "biased": self.biased,
            "positive": self.positive,
            "damped": self.learning_rate == "auto",
            "alpha": self._alpha(),
        }
        constant = not implicit and self._statistics.spread == 0
        width, threads = self._rows[0].shape[1], thread_count(self.n_jobs)
        factors = Factors(grids[0], course, width, threads, constant)
        return factors, layout, grids[1] if len(held_out) else None

    def _training(self, method, theta, seed, held_out, partial, earlier, data):
        """The run of a method that has been started at theta, or (None) resumed."""
        stopping = Stopping(
            1 if partial else self.max_iter,
            None if partial else self.tol,
            self.n_iter_no_change,
            max_seconds=None if partial else self.max_seconds,
        )
        history = History(
            self.history_ if (partial or earlier) and hasattr(self, "history_") else None
        )
        last = history.record["loss"][-1:]
        training = Training(
            method,
            Seeds((seed + self._begun) % 2**32, self.t_ - self._begun),
            stopping,
            history,
            lambda: last[0] if last else method.loss_at(theta),
            validate=None if held_out is None else self._validator(method, held_out),
            early_stopping=held_out is not None,
            resumable=data is not None,
        )
        if earlier:
            training.resume(earlier.runs[0].resume_point)
        return training

    def _publish(self, training, layout, seed, data):
        """Store the model that training has come to, and where it stands; `data`: the fingerprint
        of what it was trained on.
        """
        self._rows, self._ages = (
            tuple(part.copy() for part in parts) for parts in (self._rows, self._ages)
        )
        state, users = training.method.state, len(layout.users)
        for side, (order, seen) in enumerate(
            ((layout.users, state.ages[:users]), (layout.items, state.ages[users:]))
        ):
            rows = training.solution()[side]
            self._rows[side][order] = self._in_unit(rows, side, 1 / self._factor)
            self._ages[side][order] = seen
        self.n_iter_ = training.epochs
        self.stop_reason_ = training.reason
        self.history_ = training.history.record
        self.t_ = state.t - 1
        vars(self).pop("best_epoch_", None)
        if training.best:
            self.best_epoch_ = training.best.epoch
        vars(self).pop("_resumption", None)
        if training.resume_point:
            self._resumption = Resumption.of(self, data, seed, [training], training)

    def _learnt(self):
        """The arrays that make the model."""
        return self._rows

    def _attributes(self, training, layout, seed, data):
        """What the estimator would know if training stopped here."""
        model = copy(self)
        model._publish(training, layout, seed, data)
        model.history_ = copy_of(model.history_)
        return vars(model)

    def _begin(self):
        """Nothing is known."""
        self._statistics, self._unit, self._range = None, 0.0, (np.inf, -np.inf)
        self.mean_rating_ = 0.0
        self._users, self._items, self._met, self.t_ = Ids("user"), Ids("item"), [], 0
        self._fixed = {
            name: getattr(self, name) for name in ("loss", "n_factors", "biased", "dtype")
        }
        width = width_of(self.n_factors, self.dtype)
        self._rows = tuple(
            np.zeros((1, width), self.dtype) for _ in range(2)
        )  # the last one is that of whoever is unknown
        self._ages = tuple(np.zeros(0, np.int64) for _ in range(2))

    def _take_in(self, values, implicit, partial):
        """Update the statistics of the ratings or weights; `partial`: pool them with earlier ones.

        Rows are stored in units of `_unit`, which is 0 while all ratings are equal, and trained in
        units of the ratings' spread.
        """
        if implicit and (values < 0).any():
            raise ValueError(
                f"Weights of interactions must be >= 0 for loss={self.loss!r}, the least is "
                f"{values.min():g}"
            )
        known, before = Statistics.of(values), self._statistics
        if partial and before:
            known = before.merge(known)
        if not np.isfinite(known.spread):
            raise ValueError("The ratings are too large: their differences overflow")
        if implicit and known.mean == 0 and not partial:
            raise ValueError("All interactions have weight 0")
        self._range = (
            min(self._range[0], float(values.min())),
            max(self._range[1], float(values.max())),
        )
        if implicit:
            self._statistics, self._unit = known, 1.0
        elif partial:
            self._follow(known)
        else:
            if before:
                self._rows = tuple(
                    self._in_unit(rows, side, self._factor) for side, rows in enumerate(self._rows)
                )
            self._statistics, self._unit, self.mean_rating_ = known, known.spread, known.mean

    def _follow(self, known):
        """Adopt the statistics `known`; the items' biases keep predictions as they were."""
        if self._unit and self.biased:
            items = self._rows[1].copy()
            items[:-1, self.n_factors + 1] += (self.mean_rating_ - known.mean) / self._unit
            self._rows = self._rows[0], items
        known.spread = known.spread or self._unit
        self._statistics, self.mean_rating_ = known, known.mean
        if not 1 / REBASED <= self._factor <= REBASED:
            if self._unit:
                self._rows = tuple(self._rebased(side) for side in range(2))
            self._unit = known.spread

    def _rebased(self, side):
        """Rows in units of the ratings' spread.

        Where the spread has grown, factors shrink. A product of two vectors near zero grows slowly,
        so factors keep the length that random ones begin with, halved for each epoch that they have
        seen: after few epochs they are still nearly random.
        """
        rows, k, first = self._rows[side], self.n_factors, (INITIAL_SPREAD * self.n_factors) ** 0.25
        shrunk = self._in_unit(rows, side, self._factor)
        length, before = (np.linalg.norm(part[:-1, :k], axis=1) for part in (shrunk, rows))
        wanted = np.maximum(length, np.minimum(before, first * 0.5 ** self._ages[side]))
        shrunk[:-1, :k] *= (wanted / np.where(length > 0, length, 1))[:, None]
        return shrunk

    @property
    def _factor(self):
        """The factor from `_unit` to units of the ratings' spread."""
        if self._fixed["loss"] != "squared_error" or self._unit == self._statistics.spread:
            return 1.0
        return self._unit / self._statistics.spread if self._unit else 0.0

    def _in_unit(self, rows, side, factor):
        """Rows whose scores are multiplied by a factor."""
        if factor == 1:
            return rows
        rows, k = rows.copy(), self.n_factors
        rows[:, :k] *= factor**0.5
        rows[:, k + side] *= factor
        return rows

    def _scaled(self, values):
        """Ratings standardised, or weights relative to their mean."""
        known = self._statistics
        if self.loss != "squared_error":
            return values / (known.mean or 1.0)
        return (values - known.mean) / (known.spread or 1.0)

    def _alpha(self):
        if self.alpha != "auto":
            return float(self.alpha)
        return ALPHA if self.loss == "squared_error" else IMPLICIT_ALPHA

    def _schedule(self):
        if self.learning_rate == "auto":
            return None
        return as_schedule(
            self.learning_rate,
            eta0=self.eta0,
            power_t=self.power_t,
            alpha=0,
            max_iter=self.max_iter,
            lipschitz=None,
        )

    def _split(self, ratings, rng, partial):
        """(training, held-out) numbers of ratings."""
        if not self.early_stopping or partial:
            return np.arange(ratings), np.arange(0)
        size = max(1, round(self.validation_fraction * ratings))
        if size == ratings:
            raise ValueError(
                f"early_stopping with validation_fraction={self.validation_fraction} leaves none "
                f"of {ratings} ratings"
            )
        order = rng.permutation(ratings)
        return np.sort(order[size:]), np.sort(order[:size])

    def _validator(self, method, grid):
        """A function (user rows, item rows) -> (score, loss) of the ratings held out."""

        def validate(*rows):
            loss = method.data_loss(grid)
            return -loss, loss

        return validate

    def _grow(self, rng, layout, users, items, implicit):
        """Make rows for those who are new: random ones where there is something to learn, else
        zeros.
        """
        rows, ages = [], []
        sides = zip(
            (self._users, self._items),
            self._rows,
            self._ages,
            (layout.users, layout.items),
            (users, items),
            strict=True,
        )
        for side, (ids, known, old, order, places) in enumerate(sides):
            grown = np.zeros((len(ids) + 1, known.shape[1]), self.dtype)
            grown[: len(known) - 1] = known[:-1]
            trained = np.full(len(order), implicit and side == 1)
            trained[places] = True
            new = np.sort(order[trained & (order >= len(old))])
            factors = (
                rng.standard_normal((len(new), self.n_factors))
                * (INITIAL_SPREAD / self.n_factors) ** 0.25
            )
            factors /= self._factor**0.5
            grown[new, : self.n_factors] = abs(factors) if self.positive else factors
            grown[:, self.n_factors + 1 - side] = self.biased
            rows.append(grown)
            ages.append(np.concatenate([old, np.zeros(len(ids) - len(old), np.int64)]))
        self._rows, self._ages = tuple(rows), tuple(ages)

    def _items_met(self):
        """Who has met what: a CSR matrix, users x items."""
        shape, total = (len(self._users), len(self._items)), None
        for met in self._met:
            if isinstance(met, tuple):
                met = sparse.csr_array((np.ones(len(met[0]), bool), met), shape=shape)
            elif met.shape != shape:
                met.resize(shape)
            total = met if total is None else total + met
        self._met = [total]
        return total

    # ---- the model at work ----

    def predict(self, X):
        """Ratings (for implicit feedback scores: the higher, the likelier) of pairs.

        Parameters
        ----------
        X : as for `fit`
            Pairs (user, item); a column of ratings is not read.

        Returns
        -------
        ndarray of shape (n_pairs,)

        Raises
        ------
        ValueError
            For unknown users or items, if ``handle_unknown="error"``.
        """
        check_is_fitted(self, "history_")
        return self._predict(*as_interactions(X, None, 0.0)[:2])

    def _predict(self, users, items):
        users, items = self._known(self._users, users), self._known(self._items, items)
        scores = np.empty(len(users), self._rows[0].dtype)
        factorization.scores(users, items, *self._rows, scores, thread_count(self.n_jobs))
        scores = self._in_units(scores)
        return (
            np.clip(scores, *self._range)
            if self.clip and self._fixed["loss"] == "squared_error"
            else scores
        )

    def recommend(self, users, n=10, exclude_seen=True):
        """The `n` items with the highest scores for each user.

        Parameters
        ----------
        users : array-like of shape (n_users,)
            Ids of users. Unknown ones are recommended what has the highest bias.
        n : int, default=10
            Items for each user.
        exclude_seen : bool, default=True
            Whether to leave out the items that a user has rated. Who has fewer than `n` others gets
            rated ones behind them, with a score of -inf.

        Returns
        -------
        ids : ndarray of shape (n_users, n)
            Item ids, the best first.
        scores : ndarray of shape (n_users, n)
            Their scores; for ratings what `predict` says without `clip`.

        Raises
        ------
        ValueError
            If there are fewer than `n` items; for unknown users, if ``handle_unknown="error"``.
        """
        check_is_fitted(self, "history_")
        numbers, items = self._known(self._users, ids_of(users, "users")), len(self._items)
        self._check_n(n, items)
        met = self._items_met() if exclude_seen else None

        def table_of(part):
            table = self._rows[0][part] @ self._rows[1][:items].T
            if exclude_seen:
                known = np.flatnonzero(part < len(self._users))
                seen = met[part[known]].tocoo()
                table[known[seen.coords[0]], seen.coords[1]] = -np.inf
            return table

        best, scores = highest(numbers, items, n, table_of)
        return self.item_ids_[best], self._in_units(scores)

    def similar_items(self, items, n=10):
        """The `n` other items whose factors point most nearly the same way.

        Parameters
        ----------
        items : array-like of shape (n_given,)
            Ids of items met in training.
        n : int, default=10
            Items for each.

        Returns
        -------
        ids, scores : ndarray of shape (n_given, n)
            Item ids and the cosines of the angles between their factors, the nearest first.

        Raises
        ------
        ValueError
            For unknown items, or if there are fewer than `n` others.
        """
        check_is_fitted(self, "history_")
        numbers = self._known(self._items, ids_of(items, "items"), handle_unknown="error")
        self._check_n(n, len(self._items) - 1)
        factors = self._rows[1][:-1, : self._fixed["n_factors"]]
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        factors = factors / np.where(lengths > 0, lengths, 1)

        def table_of(part):
            table = factors[part] @ factors.T
            table[np.arange(len(part)), part] = -np.inf
            return table

        best, scores = highest(numbers, len(factors), n, table_of)
        return self.item_ids_[best], scores

    def score(self, X, y=None):
        """The higher, the better: minus the root mean squared error of ratings; for implicit
        feedback `ndcg_at_k` with k=10.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        float
        """
        check_is_fitted(self, "history_")
        if self._fixed["loss"] != "squared_error":
            return ndcg_at_k(self, X, y, k=min(10, len(self._items)))
        users, items, values = as_interactions(X, y)
        errors = self._predict(users, items) - values
        size = float(abs(errors).max()) or 1.0  # squares neither overflow nor underflow
        return -size * float(np.sqrt(np.mean((errors / size) ** 2)))

    @property
    def user_ids_(self):
        return self._users.values

    @property
    def item_ids_(self):
        return self._items.values

    @property
    def user_factors_(self):
        return self._factors(0)

    @property
    def item_factors_(self):
        return self._factors(1)

    @property
    def user_biases_(self):
        return self._biases(0)

    @property
    def item_biases_(self):
        return self._biases(1)

    @property
    def loss_curve_(self):
        """The loss of each epoch: ``history_["loss"]``."""
        check_is_fitted(self, "history_")
        return self.history_["loss"]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "history_")

    def _factors(self, side):
        factors = self._rows[side][:-1, : self._fixed["n_factors"]]
        return factors.astype(self._dtype) * self._unit**0.5

    def _biases(self, side):
        biases = self._rows[side][:-1, self._fixed["n_factors"] + side]
        return biases.astype(self._dtype) * self._unit

    @property
    def _dtype(self):
        """The dtype of results: float64 where float32 cannot resolve `FINE` of the spread."""
        dtype, least, most = self._rows[0].dtype, *self._range
        if self._fixed["loss"] != "squared_error" or dtype == np.float64:
            return dtype
        size, fine, limits = max(abs(least), abs(most)), FINE * self._unit, np.finfo(dtype)
        resolved = max(float(limits.eps) * size, float(limits.tiny)) <= fine
        held = size == 0 or (resolved and size <= LARGE * float(limits.max))
        return dtype if held else np.dtype(np.float64)

    def _in_units(self, scores):
        scores = scores.astype(np.float64)
        scores = scores * self._unit if self._unit else np.where(np.isneginf(scores), scores, 0.0)
        return (self.mean_rating_ + scores).astype(self._dtype)

    def _known(self, ids, column, handle_unknown=None):
        """The numbers of ids; those unknown have the one after the last, whose row is zero."""
        numbers = ids.numbers(column)
        unknown = numbers < 0
        if unknown.any() and (handle_unknown or self.handle_unknown) == "error":
            raise ValueError(
                f"Unknown {ids.kind}: {column[unknown][:1].tolist()[0]!r} was not met in training"
            )
        numbers[unknown] = len(ids)
        return numbers

    @staticmethod
    def _check_n(n, most):
        if not isinstance(n, Integral) or not 1 <= n <= most:
            raise ValueError(
                f"n must be a whole number from 1 to {most}, the items there are to choose from; "
                f"got {n!r}"
            )


def ids_of(values, name):
    """One id an entry, as an array."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise ValueError(f"{name} must be a sequence of ids, got {values!r}")
    values = values if hasattr(values, "__array__") else as_column(values)
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"{name} must have one dimension, the shape is {values.shape}")
    return values


def highest(numbers, columns, n, table_of):
    """(columns, values) of the `n` highest entries, highest first, in each row of
    ``table_of(numbers)``, made piece by piece.
    """
    best, values, size = np.empty((len(numbers), n), np.intp), [], max(1, CHUNK // columns)
    for begin in range(0, len(numbers), size):
        table = table_of(numbers[begin : begin + size])
        top = np.sort(np.argpartition(-table, n - 1, axis=1)[:, :n], axis=1)
        order = np.argsort(-np.take_along_axis(table, top, axis=1), axis=1, kind="stable")
        best[begin : begin + size] = np.take_along_axis(top, order, axis=1)
        values.append(np.take_along_axis(table, best[begin : begin + size], axis=1))
    return best, np.concatenate(values) if values else np.empty(best.shape)


def precision_at_k(estimator, X, y=None, *, k=10, threshold=None):
    """The share of relevant items among the `k` recommended, the mean over the users in X.

    A scorer: ``cross_val_score(model, X, scoring=precision_at_k)``, for another k
    ``functools.partial(precision_at_k, k=5)``.

    Parameters
    ----------
    estimator : MatrixFactorization
        A fitted model. Items that it has met with a user in training are not recommended.
    X, y
        Interactions that were held out, in the forms that `fit` takes.
    k : int, default=10
        Items recommended.
    threshold : float, default=None
        Interactions count as relevant from this value on; None: above 0.

    Returns
    -------
    float

    Examples
    --------
    >>> from fastgd import MatrixFactorization, precision_at_k
    >>> plays = [("anna", "jazz"), ("anna", "soul"), ("ben", "jazz"),
    ...          ("cleo", "soul"), ("cleo", "polka")]
    >>> model = MatrixFactorization("bpr", n_factors=2, random_state=0).fit(plays)
    >>> precision_at_k(model, [("ben", "soul")], k=1)
    1.0
    """
    hits, _ = _hits(estimator, X, y, k, threshold)
    return float(hits.mean())


def ndcg_at_k(estimator, X, y=None, *, k=10, threshold=None):
    """Normalised discounted cumulative gain of the `k` items recommended, the mean over the users
    in X.

    A relevant item in place i counts ``1 / log2(i + 1)``; the sum is divided by that of the best
    order.

    Parameters
    ----------
    estimator, X, y, k, threshold
        As for `precision_at_k`, and as a scorer likewise.

    Returns
    -------
    float

    References
    ----------
    Jarvelin, Kekalainen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002.

    Examples
    --------
    >>> from fastgd import MatrixFactorization, ndcg_at_k
    >>> plays = [("anna", "jazz"), ("anna", "soul"), ("ben", "jazz"),
    ...          ("cleo", "soul"), ("cleo", "polka")]
    >>> model = MatrixFactorization("bpr", n_factors=2, random_state=0).fit(plays)
    >>> round(ndcg_at_k(model, [("ben", "soul"), ("ben", "polka")], k=2), 3)
    1.0
    """
    hits, relevant = _hits(estimator, X, y, k, threshold)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, k) - 1]
    return float((hits @ discounts / ideal).mean())


def _hits(estimator, X, y, k, threshold):
    """(hits (users, k), relevant items of each user): whether the item recommended in each place is
    relevant.
    """
    users, items, values = as_interactions(X, y, 1.0)
    kept = values > 0 if threshold is None else values >= threshold
    if not kept.any():
        raise ValueError("No interaction in X is relevant")
    people, things = Ids("user"), Ids("item")
    pairs = np.stack(
        [people.numbers(users[kept], learn=True), things.numbers(items[kept], learn=True)], axis=1
    )
    pairs = np.unique(pairs, axis=0)
    recommended, _ = estimator.recommend(people.values, k)
    numbers = things.numbers(recommended.ravel()).reshape(recommended.shape)
    relevant = sparse.csr_array(
        (np.ones(len(pairs), bool), pairs.T), shape=(len(people), len(things) + 1)
    )
    hits = relevant[np.arange(len(people))[:, None], numbers]
    return hits.toarray() if sparse.issparse(hits) else hits, np.bincount(
        pairs[:, 0], minlength=len(people)
    )
