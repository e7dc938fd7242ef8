"""Recommender systems: matrix factorization by stochastic gradient descent, and the measures of its
rankings.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from numbers import Integral
from typing import TYPE_CHECKING, Annotated, Literal, overload

import numpy as np
from scipy import sparse
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators import types
from fastgd.estimators.base import Model
from fastgd.estimators.chunked_ratings import interactions_of
from fastgd.estimators.factorization_fit import FactorizationFit
from fastgd.estimators.parameters import checked, parameters, thread_count, trains
from fastgd.estimators.ratings import Ids, as_column
from fastgd.kernels import factorization
from fastgd.methods.schedules import Schedule
from fastgd.problem.chunks import Chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix, Rows

NO_RATINGS = "All chunks are empty: there are 0 samples."
# Scores held at a time: 64 MB of float32.
CHUNK = 1 << 24
SCHEDULES = ("auto", "constant", "invscaling", "adaptive", "step", "cosine", "one_cycle")


@parameters
class MatrixFactorization(Model):
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

    `Chunks` hold any of these forms, X or (X, y), the same one in each chunk; the rows of sparse
    ones are numbered through. An epoch sweeps over the ratings of `shuffle` chunks at a time. What
    stays in memory is the model, who has rated what among it: some 5 bytes a rating, for implicit
    feedback 10.

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

    loss: Literal["squared_error", "log_loss", "bpr"] = "squared_error"
    _: KW_ONLY
    n_factors: types.AtLeast1 = 50
    alpha: types.NonNegative | Literal["auto"] = "auto"
    biased: bool = True
    positive: bool = False
    n_negatives: types.AtLeast1 = 3
    max_iter: types.AtLeast1 = 30
    tol: types.NonNegative | None = 1e-4
    learning_rate: Annotated[str, StrOptions(set(SCHEDULES))] | Schedule = "auto"
    eta0: types.Positive = 0.01
    power_t: types.Finite = 0.5
    early_stopping: bool = False
    validation_fraction: types.Fraction = 0.1
    n_iter_no_change: types.AtLeast1 = 5
    clip: bool = True
    handle_unknown: Literal["ignore", "error"] = "ignore"
    dtype: Literal["float32", "float64"] = "float32"
    n_jobs: int | None = None
    random_state: types.Seed = None
    verbose: types.Verbosity = 0
    max_seconds: types.Positive | None = None
    warm_start: bool = False

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.string = tags.input_tags.categorical = True
        tags.target_tags.required = False
        return tags

    # ---- training ----

    @trains
    def fit(self, X: Rows, y: ArrayLike | None = None) -> Self:
        """Train from the start (with `warm_start` from the last factors).

        Parameters
        ----------
        X : sparse matrix, two or three columns, or Chunks
            Ratings; see Notes for the forms.
        y : array-like of shape (n_ratings,), default=None
            The ratings, if X has two columns. `Chunks` hold them too.

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
        return self._train(X, y, fit_callbacks=fit_callbacks)

    @checked
    def partial_fit(self, X: Rows, y: ArrayLike | None = None) -> Self:
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
        return self._train(X, y, partial=True)

    def _train(self, X, y, **others):
        """Train and store the model; `others` are arguments of a `FactorizationFit`."""
        return FactorizationFit(self, X, y, **others).run()

    def _learnt(self):
        """The learnt parameters."""
        return self._state.users.rows, self._state.items.rows

    # ---- the model at work ----

    @overload
    def predict(self, X: Chunks) -> Iterator[Array]: ...
    @overload
    def predict(self, X: Matrix) -> Array: ...
    def predict(self, X: Rows) -> Array | Iterator[Array]:
        """Ratings (for implicit feedback scores: the higher, the likelier) of pairs.

        Parameters
        ----------
        X : as for `fit`
            Pairs (user, item); a column of ratings is not read.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Of `Chunks`: a generator of such arrays, for one chunk after the other.

        Raises
        ------
        ValueError
            For unknown users or items, if ``handle_unknown="error"``.
        """
        check_is_fitted(self)
        parts = (self._predict(*pairs[:2]) for pairs in interactions_of(X, None, 0.0))
        return parts if isinstance(X, Chunks) else next(parts)

    def _predict(self, users, items):
        state = self._state
        numbers = self._known(state.users, users), self._known(state.items, items)
        scores = np.empty(len(users), state.users.rows.dtype)
        factorization.scores(*numbers, *self._learnt(), scores, thread_count(self.n_jobs))
        ratings = state.ratings_of(scores)
        return ratings if state.is_implicit or not self.clip else np.clip(ratings, *state.limits)

    def recommend(
        self, users: ArrayLike, n: int = 10, exclude_seen: bool = True
    ) -> tuple[Array, Array]:
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
        check_is_fitted(self)
        state = self._state
        numbers = self._known(state.users, ids_of(users, "users"))
        self._check_n(n, len(state.items.ids))
        met = state.items_met() if exclude_seen else None

        def table_of(part):
            table = state.users.rows[part] @ state.items.known_rows.T
            if exclude_seen:
                known = np.flatnonzero(part < len(state.users.ids))
                seen = met[part[known]].tocoo()
                table[known[seen.coords[0]], seen.coords[1]] = -np.inf
            return table

        best, scores = highest(numbers, len(state.items.ids), n, table_of)
        return self.item_ids_[best], state.ratings_of(scores)

    def similar_items(self, items: ArrayLike, n: int = 10) -> tuple[Array, Array]:
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
        check_is_fitted(self)
        side = self._state.items
        numbers = self._known(side, ids_of(items, "items"), handle_unknown="error")
        self._check_n(n, len(side.ids) - 1)
        factors = side.known_rows[:, : side.factors]
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        factors = factors / np.where(lengths > 0, lengths, 1)

        def table_of(part):
            table = factors[part] @ factors.T
            table[np.arange(len(part)), part] = -np.inf
            return table

        best, scores = highest(numbers, len(factors), n, table_of)
        return self.item_ids_[best], scores

    def score(self, X: Rows, y: ArrayLike | None = None) -> float:
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
        check_is_fitted(self)
        if self._state.is_implicit:
            return ndcg_at_k(self, X, y, k=min(10, len(self._state.items.ids)))
        root, count = 0.0, 0
        for users, items, values in interactions_of(X, y, None):
            errors = self._predict(users, items) - values
            size = float(abs(errors).max()) or 1.0  # squares neither overflow nor underflow
            own, count = size * float(np.sqrt(np.mean((errors / size) ** 2))), count + len(errors)
            part = len(errors) / count
            root = own if part == 1 else np.hypot(np.sqrt(1 - part) * root, np.sqrt(part) * own)
        if not count:
            raise ValueError(NO_RATINGS)
        return -float(root)

    @property
    def user_ids_(self) -> Array:
        return self._state.users.ids.values

    @property
    def item_ids_(self) -> Array:
        return self._state.items.ids.values

    @property
    def user_factors_(self) -> Array:
        return self._state.factors_of(self._state.users)

    @property
    def item_factors_(self) -> Array:
        return self._state.factors_of(self._state.items)

    @property
    def user_biases_(self) -> Array:
        return self._state.biases_of(self._state.users)

    @property
    def item_biases_(self) -> Array:
        return self._state.biases_of(self._state.items)

    @property
    def mean_rating_(self) -> float:
        return self._state.mean

    def _known(self, side, column, handle_unknown=None):
        """The numbers of ids; those unknown have the one after the last, whose row is zero."""
        numbers = side.ids.numbers(column)
        unknown = numbers < 0
        if unknown.any() and (handle_unknown or self.handle_unknown) == "error":
            first = column[unknown][:1].tolist()[0]
            raise ValueError(f"Unknown {side.ids.kind}: {first!r} was not met in training")
        numbers[unknown] = len(side.ids)
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


def precision_at_k(
    estimator: MatrixFactorization,
    X: Rows,
    y: ArrayLike | None = None,
    *,
    k: int = 10,
    threshold: float | None = None,
) -> float:
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


def ndcg_at_k(
    estimator: MatrixFactorization,
    X: Rows,
    y: ArrayLike | None = None,
    *,
    k: int = 10,
    threshold: float | None = None,
) -> float:
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
    people, things, parts = Ids("user"), Ids("item"), []
    for users, items, values in interactions_of(X, y, 1.0):
        kept = values > 0 if threshold is None else values >= threshold
        if kept.any():
            own = (people, users[kept]), (things, items[kept])
            parts.append([ids.numbers(column, learn=True) for ids, column in own])
    if not parts:
        raise ValueError("No interaction in X is relevant")
    pairs = tuple(np.concatenate(side) for side in zip(*parts, strict=True))
    recommended, _ = estimator.recommend(people.values, k)
    numbers = things.numbers(recommended.ravel()).reshape(recommended.shape)
    shape = len(people), len(things) + 1
    relevant = sparse.csr_array((np.ones(len(pairs[0]), bool), pairs), shape=shape)
    hits = relevant[np.arange(len(people))[:, None], numbers]
    return hits.toarray() if sparse.issparse(hits) else hits, np.diff(relevant.indptr)
