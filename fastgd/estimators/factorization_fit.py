"""The fit of a matrix factorization."""

from copy import copy

import numpy as np
from scipy import sparse

from fastgd.estimators.chunked_ratings import ratings_of
from fastgd.estimators.factor_state import FIXED_PARAMETERS, FactorState
from fastgd.estimators.fit import Fit
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.ratings import as_grid, lay_out
from fastgd.kernels.losses import Loss
from fastgd.methods.matrix_factorization import Factorization, Factors, Seeds
from fastgd.methods.schedules import as_schedule

# The values of alpha="auto", for ratings and for implicit feedback.
ALPHA, IMPLICIT_ALPHA = 0.1, 0.03


class FactorizationFit(Fit):
    """One fit of a matrix factorization on ratings, in any of the forms that `fit` takes."""

    uses_blas = False

    def __init__(self, model, X, y, partial=False, **others):
        known = vars(model).get("_state") if partial or model.warm_start else None
        parameters = {name: getattr(model, name) for name in FIXED_PARAMETERS}
        self.state = copy(known) if known else FactorState.empty(parameters)
        for name, value in parameters.items():
            if value != self.state.parameters[name]:
                raise ValueError(
                    f"{name}={value!r}, but the model was begun with "
                    f"{self.state.parameters[name]!r}: that needs a new fit"
                )
        ratings = ratings_of(self.state, X, y)
        super().__init__(model, ratings.arrays, partial, **others)
        self.stopping.patience = model.n_iter_no_change
        # The number of epochs before this fit and those that it resumes.
        self.begun = self.state.epochs - (len(model.history_["loss"]) if self.earlier else 0)
        seed = self.drawn_seed()
        if not self.earlier:
            self.state.take_in(ratings.statistics, partial)
            self.state.met = *self.state.met, *ratings.met
        self.pose(ratings, seed)

    def pose(self, ratings, seed):
        """Lay out the ratings on grids; who is new gets rows."""
        model, state, rng = self.model, self.state, np.random.default_rng([seed, self.begun])
        if model.early_stopping and not self.partial:
            ratings.split(model.validation_fraction, rng)
        shape = [len(side.ids) for side in state.sides]
        counts, training = ratings.counts(shape), ratings.training_counts(shape)
        trained = [np.flatnonzero(training.users), np.flatnonzero(training.items)]
        if state.is_implicit:
            trained[1] = np.arange(shape[1])
        layout = lay_out(counts, ratings.per_sweep, state.is_implicit, rng)
        self.orders = layout.users, layout.items
        state.users, state.items = (
            side.grown(numbers, rng, state.factor, model.biased, model.positive)
            for side, numbers in zip(state.sides, trained, strict=True)
        )
        met = None
        if state.is_implicit:
            met = state.items_met()[layout.users]
            places = met.data, layout.item_places[met.indices], met.indptr
            met = sparse.csr_array(places, shape=met.shape)
            met.sort_indices()

        def grid_of(users, items, values):
            return as_grid(
                layout, users, items, state.standardised(values).astype(model.dtype), met
            )

        alpha = IMPLICIT_ALPHA if state.is_implicit else ALPHA
        options = {
            "loss": int(Loss.LOG_LOSS if state.is_implicit else Loss.SQUARED_ERROR),
            "pairwise": model.loss == "bpr",
            "negatives": model.n_negatives if state.is_implicit else 0,
            "factors": model.n_factors,
            "biased": model.biased,
            "positive": model.positive,
            "implicit": model.learning_rate == "auto",
            "alpha": alpha if model.alpha == "auto" else float(model.alpha),
        }
        is_constant = not state.is_implicit and state.statistics.spread == 0
        self.problem = Factors(
            ratings.grids(grid_of),
            visits_of(
                training.users[layout.users], training.items[layout.items], training, options
            ),
            len(layout.users),
            options,
            state.users.rows.shape[1],
            thread_count(model.n_jobs),
            is_constant,
            seed,
        )
        self.held_out = ratings.held_out_grids(grid_of)

    def method(self, last):
        model = self.model
        if model.learning_rate == "auto":
            return Factorization()
        given = {"eta0": model.eta0, "power_t": model.power_t, "max_iter": model.max_iter}
        return Factorization(as_schedule(model.learning_rate, lipschitz=None, **given))

    def start(self, method):
        state, pairs = self.state, list(zip(self.state.sides, self.orders, strict=True))
        rows = [side.scaled(side.rows[numbers], state.factor) for side, numbers in pairs]
        theta = np.concatenate([part.ravel() for part in rows])
        ages = np.concatenate([side.ages[numbers] for side, numbers in pairs])
        method.start(self.problem, theta, (ages, state.epochs + 1))
        return theta

    def order(self, epochs):
        seed = (self.problem.random_state + self.begun) % 2**32
        return Seeds(seed, 0 if self.partial else epochs)

    def validator(self, method):
        grids = self.held_out

        def validate(*rows):
            loss = method.data_loss(grids)
            return -loss, loss

        return validate

    def store(self, model, training):
        state, trained = copy(self.state), training.method.state
        ages = np.split(trained.ages, [len(self.orders[0])])
        parts = zip(state.sides, self.orders, training.solution(), ages, strict=True)
        state.users, state.items = (
            side.updated(numbers, side.scaled(rows, 1 / state.factor), seen)
            for side, numbers, rows, seen in parts
        )
        state.epochs = model.t_ = trained.t - 1
        model._state = state


def visits_of(users, items, counts, options):
    """The expected updates in an epoch of the row of each user, then of each item, given the
    numbers of their ratings.
    """
    negatives = options["negatives"]
    if options["pairwise"]:
        users, items = users * negatives, items * negatives
    elif negatives and counts.filled:
        users = users * (1 + negatives)
    return np.concatenate([users, items + negatives * counts.filled / len(items)])
