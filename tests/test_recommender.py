"""MatrixFactorization: steps against the formula and finite differences, planted factors, forms of
input, rankings, bad input.
"""

import pickle
import signal
from copy import deepcopy
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import ndcg_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_resume import Told

from fastgd import (
    Constant,
    CosineDecay,
    LossCurveDisplay,
    MatrixFactorization,
    ndcg_at_k,
    precision_at_k,
)
from fastgd.estimators import ratings
from fastgd.estimators.ratings import Ids, RatingCounts, as_grid, lay_out
from fastgd.kernels import factorization
from fastgd.kernels.losses import Loss

FACTORS, WIDTH = 3, 8
LOSSES = ["squared_error", "log_loss", "bpr"]


def softplus(z):
    return np.logaddexp(0, z)


# ---- the kernel ----


def options_of(loss, negatives=1, **others):
    return {
        "loss": int(Loss.SQUARED_ERROR if loss == "squared_error" else Loss.LOG_LOSS),
        "pairwise": loss == "bpr",
        "negatives": 0 if loss == "squared_error" else negatives,
        "factors": FACTORS,
        "biased": True,
        "positive": False,
        "implicit": False,
        "alpha": 0.0,
    } | others


def random_rows(n, side, rng, dtype=np.float64):
    rows = np.zeros((n, WIDTH), dtype)
    rows[:, : FACTORS + 2] = 0.5 * rng.standard_normal((n, FACTORS + 2))
    rows[:, FACTORS + 1 - side] = 1
    return rows


def sweep(grid, P, Q, options, rate, seed=0, threads=1, pairs=None):
    """(loss, P, Q) after a sweep in which all rows have one rate."""
    P, Q = P.copy(), Q.copy()
    pairs = np.arange(2 * grid.blocks) if pairs is None else pairs
    rates = np.full(len(P), rate, P.dtype), np.full(len(Q), rate, P.dtype)
    loss = factorization.epoch(grid, P, Q, *rates, pairs.astype(np.int32), options, seed, threads)
    return loss, P, Q


def one_rating(value, dtype=np.float64, met=()):
    """The grid of one user with one rating, and of two items."""
    known = (np.array([0, 1], np.intp), np.array([0], np.int32)) if met else ()
    return factorization.Grid(
        np.zeros(1, np.int32),
        np.zeros(1, np.int32),
        np.array([value], dtype),
        np.array([0, 1, 1]),
        np.array([0, 1], np.int32),
        np.array([0, 1, 2], np.int32),
        *known,
    )


def all_but_one(loss, users=4, items=5):
    """(users, items, values, grid): everybody has met all items but the last, so that the one to be
    drawn is known.
    """
    u, i = (
        part.ravel().astype(np.int32)
        for part in np.meshgrid(np.arange(users), np.arange(items - 1), indexing="ij")
    )
    values = np.random.default_rng(3).uniform(0.5, 2, len(u))
    known = (
        np.arange(users + 1) * (items - 1),
        np.tile(np.arange(items - 1), users).astype(np.int32),
    )
    grid = factorization.Grid(
        u,
        i,
        values,
        np.array([0, len(u), len(u)]),
        np.array([0, users], np.int32),
        np.array([0, items, items], np.int32),
        *(known if loss != "squared_error" else ()),
    )
    return u, i, values, grid


def total_loss(loss, u, i, values, P, Q):
    z = np.einsum("ij,ij->i", P[u], Q[i])
    other = P[u] @ Q[-1]
    return {
        "squared_error": ((values - z) ** 2 / 2).sum(),
        "log_loss": (values * (softplus(-z) + softplus(other))).sum(),
        "bpr": (values * softplus(other - z)).sum(),
    }[loss]


@pytest.mark.parametrize("loss", LOSSES)
def test_steps_go_down_the_gradient(loss):
    """A sweep at a tiny rate moves each parameter by the finite difference of the loss."""
    rng = np.random.default_rng(0)
    u, i, values, grid = all_but_one(loss)
    P, Q = random_rows(4, 0, rng), random_rows(5, 1, rng)
    rate, h = 1e-7, 1e-5
    met, new_P, new_Q = sweep(grid, P, Q, options_of(loss), rate)
    assert_allclose(met, total_loss(loss, u, i, values, P, Q), rtol=1e-5)
    for side, (rows, moved) in enumerate(((P, new_P), (Q, new_Q))):
        for at in np.ndindex(len(rows), FACTORS + 2):
            if at[1] == FACTORS + 1 - side:  # the one that carries the other side's bias
                assert moved[at] == 1
                continue
            tried = []
            for sign in (1, -1):
                shifted = rows.copy()
                shifted[at] += sign * h
                tried.append(
                    total_loss(loss, u, i, values, *((shifted, Q) if side == 0 else (P, shifted)))
                )
            assert_allclose(
                (rows - moved)[at] / rate, (tried[0] - tried[1]) / (2 * h), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
def test_one_step_is_the_formula(dtype, positive, implicit):
    rng = np.random.default_rng(1)
    P, Q, r, rate, alpha = (
        random_rows(1, 0, rng, dtype),
        random_rows(2, 1, rng, dtype),
        1.7,
        0.3,
        0.2,
    )
    options = options_of("squared_error", positive=positive, implicit=implicit, alpha=alpha)
    _, new_P, new_Q = sweep(one_rating(r, dtype), P, Q, options, rate)
    p, q = P[0].astype(float), Q[0].astype(float)
    slope = p @ q - r
    if implicit:  # the slope at the end of the step, to first order
        slope /= 1 + rate * (p @ p + q @ q)
    for new, (row, other), one in ((new_P[0], (p, q), FACTORS + 1), (new_Q[0], (q, p), FACTORS)):
        expected = (row - rate * slope * other) / (1 + rate * alpha)
        expected[one] = 1
        if positive:
            expected[:FACTORS] = np.maximum(expected[:FACTORS], 0)
        assert_allclose(
            new,
            expected,
            rtol=2e-6 if dtype == np.float32 else 1e-14,
            atol=1e-7 if dtype == np.float32 else 1e-15,
        )
    assert_array_equal(new_Q[1], Q[1])


@pytest.mark.parametrize("loss", ["log_loss", "bpr"])
@pytest.mark.parametrize("rate", [1.0, 1e3, 1e6])
def test_implicit_steps_never_overshoot(loss, rate):
    rng = np.random.default_rng(2)
    P, Q = random_rows(1, 0, rng), random_rows(2, 1, rng)
    _, new_P, new_Q = sweep(one_rating(1.0, met=(0,)), P, Q, options_of(loss, implicit=True), rate)
    margin = [
        p[0] @ q[0] - (p[0] @ q[1] if loss == "bpr" else 0) for p, q in ((P, Q), (new_P, new_Q))
    ]
    assert np.isfinite(new_P).all() and np.isfinite(new_Q).all()
    assert margin[1] > margin[0]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_a_sweep_visits_every_rating_once(n, users, items, seed, drawn):
    rng = np.random.default_rng(seed)
    u, i, values = rng.integers(0, users, n), rng.integers(0, items, n), rng.standard_normal(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings, "MIN_RATINGS_PER_CELL", 4)
        layout = lay_out(RatingCounts.of(u, i, values, (users, items)), n, drawn, rng)
        grid = as_grid(layout, u, i, values)
    place_u, place_i = layout.user_places[u], layout.item_places[i]
    assert_array_equal(np.sort(layout.users), np.unique(u))
    assert_array_equal(layout.users[place_u], u)
    assert_array_equal(layout.items[place_i], i)
    assert len(layout.items) == (items if drawn else len(np.unique(i)))
    P, Q = random_rows(len(layout.users), 0, rng), random_rows(len(layout.items), 1, rng)
    loss, new_P, new_Q = sweep(
        grid, P, Q, options_of("squared_error"), 0.0, seed, pairs=rng.permutation(2 * grid.blocks)
    )
    assert_allclose(
        loss, ((values - np.einsum("ij,ij->i", P[place_u], Q[place_i])) ** 2 / 2).sum(), rtol=1e-9
    )
    assert_array_equal(new_P, P)
    assert_array_equal(new_Q, Q)


def test_drawn_items_are_those_not_met_and_all_as_likely():
    """While all scores are near 0 each draw pulls an item's bias down by half the rate."""
    rng = np.random.default_rng(0)
    users, items = 60, 120
    met = rng.random((users, items)) < 0.3
    u, i = np.nonzero(met)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings, "MIN_RATINGS_PER_CELL", 200)
        layout = lay_out(RatingCounts.of(u, i, u, (users, items)), len(u), True, rng)
    known = sparse.csr_array(met[layout.users][:, layout.items])
    grid = as_grid(layout, u, i, np.ones(len(u)), known)
    assert grid.blocks > 2
    P, Q = np.zeros((users, WIDTH)), np.zeros((items, WIDTH))
    P[:, FACTORS + 1] = Q[:, FACTORS] = 1
    draws, rate, epochs = np.zeros(items), 1e-9, 200
    for seed in range(epochs):
        _, _, moved = sweep(
            grid, P, Q, options_of("bpr"), rate, seed, pairs=rng.permutation(2 * grid.blocks)
        )
        draws += np.round((known.sum(axis=0) * rate / 2 - moved[:, FACTORS + 1]) / (rate / 2))
    counts = known.sum(axis=1)
    expected = epochs * ((~known.toarray()) / (items - counts)[:, None] * counts[:, None]).sum(
        axis=0
    )
    assert draws.sum() == epochs * len(u)
    assert_allclose(draws, expected, rtol=0.1)
    nobody = sparse.csr_array(
        np.ones((users, items), bool)
    )  # has anything left to meet: nothing is drawn
    full = as_grid(layout, u, i, np.ones(len(u)), nobody)
    assert sweep(full, P, Q, options_of("bpr"), rate)[0] == 0


def test_scores_are_products():
    rng = np.random.default_rng(0)
    P, Q = random_rows(7, 0, rng), random_rows(9, 1, rng)
    u, i = rng.integers(0, 7, 50).astype(np.int32), rng.integers(0, 9, 50).astype(np.int32)
    out = np.empty(50)
    factorization.scores(u, i, P, Q, out, 2)
    assert_allclose(out, np.einsum("ij,ij->i", P[u], Q[i]), rtol=1e-13)
    with pytest.raises(ValueError, match="7 users and 9 items"):
        factorization.scores(u + 7, i, P, Q, out, 1)


def test_the_kernel_refuses_what_does_not_fit():
    u, i, values, grid = all_but_one("squared_error")
    with pytest.raises(ValueError, match="outside its cell"):
        factorization.Grid(u + 1, i, values, grid.cells, grid.user_bounds, grid.item_bounds)
    with pytest.raises(ValueError, match="as many"):
        factorization.Grid(u[1:], i, values, grid.cells, grid.user_bounds, grid.item_bounds)
    with pytest.raises(ValueError, match="more than 1000"):
        factorization.Grid(
            u[:0],
            i[:0],
            values[:0],
            np.zeros(2 * 1001**2 + 1, np.intp),
            np.zeros(1002, np.int32),
            np.zeros(2003, np.int32),
        )
    with pytest.raises(ValueError, match="cannot be drawn"):
        sweep(grid, np.zeros((4, WIDTH)), np.zeros((5, WIDTH)), options_of("bpr"), 0.1)
    with pytest.raises(ValueError, match="do not fit"):
        sweep(grid, np.zeros((3, WIDTH)), np.zeros((5, WIDTH)), options_of("squared_error"), 0.1)
    with pytest.raises(ValueError, match="permutation"):
        sweep(
            grid,
            np.zeros((4, WIDTH)),
            np.zeros((5, WIDTH)),
            options_of("squared_error"),
            0.1,
            pairs=np.zeros(2),
        )


# ---- what is learned ----


def planted(users=300, items=200, rank=3, share=0.3, noise=0.0, seed=0, positive=False):
    """(pairs, ratings) of a matrix of low rank with biases."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((users, rank)), rng.standard_normal((items, rank))
    if positive:
        p, q = abs(p), abs(q)
    full = 3 + p @ q.T + 0.5 * rng.standard_normal((users, 1)) + 0.5 * rng.standard_normal(items)
    pairs = np.argwhere(rng.random((users, items)) < share)
    return pairs, full[tuple(pairs.T)] + noise * rng.standard_normal(len(pairs))


def tastes(users=120, items=60, groups=4, seed=0):
    """Pairs of users and items of one group."""
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(
        (np.arange(users)[:, None] % groups == np.arange(items) % groups)
        & (rng.random((users, items)) < 0.6)
    )
    return rng.permutation(pairs)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planted_factors_are_recovered(positive, dtype):
    pairs, ratings = planted(positive=positive)
    test = np.arange(len(ratings)) % 10 == 0
    model = MatrixFactorization(
        n_factors=6,
        alpha=1e-4,
        max_iter=150,
        tol=None,
        positive=positive,
        dtype=dtype,
        random_state=0,
    )
    model.fit(pairs[~test], ratings[~test])
    assert -model.score(pairs[test], ratings[test]) < 0.05 * ratings.std()
    assert model.predict(pairs).dtype == dtype
    if positive:
        assert model.user_factors_.min() == 0 <= model.item_factors_.min()
        assert model.user_biases_.min() < 0


@pytest.mark.parametrize("loss", ["log_loss", "bpr"])
@pytest.mark.parametrize("biased", [True, False])
def test_tastes_are_recovered(loss, biased):
    pairs = tastes()
    model = MatrixFactorization(loss, n_factors=8, biased=biased, random_state=0).fit(pairs[200:])
    ids, _ = model.recommend(np.arange(120), 3)
    assert (ids % 4 == np.arange(120)[:, None] % 4).mean() > 0.95
    assert model.score(pairs[:200]) == ndcg_at_k(model, pairs[:200]) > 0.6
    alike, _ = model.similar_items(np.arange(60), 5)
    assert (alike % 4 == np.arange(60)[:, None] % 4).mean() > 0.95
    assert biased == bool(model.item_biases_.any())


def test_training_ends_near_a_stationary_point():
    """The objective's exact gradient, at the end over at the beginning."""
    pairs, ratings = planted(100, 80, noise=0.3)
    alpha, (u, i) = 0.05, pairs.T

    def gradient(model):
        s = ratings.std()
        P, Q = model.user_factors_ / np.sqrt(s), model.item_factors_ / np.sqrt(s)
        b, c = model.user_biases_ / s, model.item_biases_ / s
        e = (P[u] * Q[i]).sum(axis=1) + b[u] + c[i] - (ratings - ratings.mean()) / s
        parts = [np.zeros_like(part) for part in (P, Q, b, c)]
        for part, at, by in zip(
            parts, (u, i, u, i), (Q[i], P[u], np.ones(len(e)), np.ones(len(e))), strict=True
        ):
            np.add.at(part, at, (e * by.T).T)
        sizes = np.bincount(u), np.bincount(i)
        for part, theta, size in zip(parts, (P, Q, b, c), (*sizes, *sizes), strict=True):
            part += alpha * (size * theta.T).T
        return np.sqrt(sum((part**2).sum() for part in parts)) / len(e)

    model = MatrixFactorization(n_factors=5, alpha=alpha, dtype="float64", tol=None, random_state=0)
    assert_array_equal(model.fit(pairs, ratings).user_ids_, np.arange(100))
    first = gradient(clone(model).set_params(max_iter=1).fit(pairs, ratings))
    last = clone(model).set_params(max_iter=1000).fit(pairs, ratings)
    assert gradient(last) < 0.01 * first
    loss = last.history_["loss"]
    assert (
        loss[-1] < loss[0]
        and last.history_["gradient_norm"][-1] < 0.1 * last.history_["gradient_norm"][0]
    )


def test_the_loss_in_the_history_is_the_objective():
    pairs, ratings = planted(50, 40, noise=0.3)
    model = MatrixFactorization(
        n_factors=4, max_iter=300, dtype="float64", tol=None, random_state=0
    ).fit(pairs, ratings)
    s, (u, i) = ratings.std(), pairs.T
    lengths = [
        (factors**2).sum(axis=1) / s + (biases / s) ** 2
        for factors, biases in (
            (model.user_factors_, model.user_biases_),
            (model.item_factors_, model.item_biases_),
        )
    ]
    fit = model.set_params(clip=False).predict(pairs)
    objective = ((ratings - fit) ** 2 / 2 / s**2).mean() + 0.1 / 2 * (
        lengths[0][u] + lengths[1][i]
    ).mean()
    assert_allclose(model.history_["loss"][-1], objective, rtol=5e-3)
    assert_allclose(
        fit,
        model.mean_rating_
        + model.user_biases_[u]
        + model.item_biases_[i]
        + (model.user_factors_[u] * model.item_factors_[i]).sum(axis=1),
        rtol=1e-10,
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_bits_for_any_number_of_threads(loss):
    rng = np.random.default_rng(0)
    pairs = np.column_stack([rng.integers(0, 2000, 40_000), rng.integers(0, 1000, 40_000)])
    ratings = rng.integers(1, 6, len(pairs))
    settings = {"n_factors": 16, "max_iter": 3, "tol": None, "random_state": 0}
    models = [
        MatrixFactorization(loss, n_jobs=n_jobs, **settings).fit(pairs, ratings)
        for n_jobs in (1, 2, 4, 4)
    ]
    for model in models[1:]:
        assert_array_equal(model.user_factors_, models[0].user_factors_)
        assert_array_equal(model.item_biases_, models[0].item_biases_)
        assert model.history_["loss"] == models[0].history_["loss"]
    other = MatrixFactorization(loss, **settings | {"random_state": 1}).fit(pairs, ratings)
    assert (other.user_factors_ != models[0].user_factors_).any()


def test_the_scale_of_the_ratings_changes_nothing():
    pairs, ratings = planted(60, 50, noise=0.3)
    model = MatrixFactorization(dtype="float64", random_state=0)
    one, other = (
        clone(model).fit(pairs, ratings).predict(pairs),
        clone(model).fit(pairs, 20 * ratings - 7).predict(pairs),
    )
    assert_allclose(20 * one - 7, other, rtol=1e-9)


@pytest.mark.parametrize(
    "rate", ["constant", "invscaling", "adaptive", "step", "cosine", "one_cycle", Constant(0.01)]
)
def test_schedules(rate):
    pairs, ratings = planted(60, 50)
    model = MatrixFactorization(
        n_factors=5, alpha=1e-3, learning_rate=rate, max_iter=40, tol=None, random_state=0
    )
    model.fit(pairs, ratings)
    assert model.history_["loss"][-1] < 0.7 * model.history_["loss"][0]
    rates = model.history_["learning_rate"]
    assert (len(set(rates)) == 1) == (
        rate in ("constant", "adaptive") or isinstance(rate, Constant)
    )


def test_stopping():
    pairs, ratings = planted(60, 50, noise=0.5)
    model = MatrixFactorization(max_iter=500, tol=1e-3, n_iter_no_change=2, random_state=0).fit(
        pairs, ratings
    )
    assert model.stop_reason_ == "plateau" and model.n_iter_ == len(model.loss_curve_) < 500
    early = MatrixFactorization(
        n_factors=20, alpha=0, max_iter=500, early_stopping=True, random_state=0
    ).fit(pairs, ratings)
    assert early.stop_reason_ == "validation" and early.n_iter_ < 500
    assert len(early.history_["validation_loss"]) == early.n_iter_
    assert len(early.user_ids_) == 60
    adaptive = MatrixFactorization(
        learning_rate="adaptive", max_iter=500, tol=1e-3, n_iter_no_change=1, random_state=0
    )
    assert min(adaptive.fit(pairs, ratings).history_["learning_rate"]) < 0.01
    assert LossCurveDisplay.from_estimator(model).ax_ is not None


class AtTheEndOf(Told):
    """Does something at the end of an epoch, or of the fit (None)."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_fit_task_end(self, estimator, context, fitted_estimator=None):
        if (None if context.max_subtasks else context.task_id + 1) == self.epoch:
            return self.action(fitted_estimator)


@pytest.mark.parametrize("epoch", [2, None])
def test_an_interrupt_leaves_the_last_complete_epoch(epoch):
    pairs, ratings = planted(60, 50)
    settings = {"n_factors": 5, "tol": None, "random_state": 0}
    model = MatrixFactorization(max_iter=4, **settings).fit(pairs[:100], ratings[:100])
    model.set_callbacks(AtTheEndOf(epoch, lambda _: signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        model.fit(pairs, ratings)
    whole = MatrixFactorization(max_iter=epoch or 4, **settings).fit(pairs, ratings)
    assert (model.stop_reason_, model.n_iter_) == (
        "interrupted" if epoch else "max_iter",
        epoch or 4,
    )
    assert_array_equal(model.predict(pairs), whole.predict(pairs))
    assert_array_equal(model.recommend([3], 4)[0], whole.recommend([3], 4)[0])
    assert model.set_callbacks().partial_fit(pairs, ratings).t_ == (epoch or 4) + 1


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("during", [False, True])
def test_an_interrupt_before_the_first_epoch_ends_changes_nothing(method, during, monkeypatch):
    pairs, ratings = planted(60, 50)
    model = MatrixFactorization(n_factors=5, random_state=0).fit(pairs, ratings)
    predicted, history = model.predict(pairs), model.history_
    kernel = factorization.epoch

    def interrupted(*arguments):
        if during:
            kernel(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(factorization, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)([*pairs.tolist(), ("new", "one")], np.append(ratings, 3))
    assert model.history_ is history and len(model.user_ids_) == 60
    assert_array_equal(model.predict(pairs), predicted)


def test_the_kernel_hears_ctrl_c():
    rng = np.random.default_rng(0)
    n, k = 400_000, 254  # some tenths of a second
    u, i = rng.integers(0, 2000, n), rng.integers(0, 2000, n)
    layout = lay_out(RatingCounts.of(u, i, u, (2000, 2000)), n, False, rng)
    grid = as_grid(layout, u, i, np.zeros(n))
    P, Q = np.full((2000, 256), 0.01), np.full((2000, 256), 0.01)
    options = options_of("squared_error", factors=k)
    rates = np.full(2000, 1e-3)
    arguments = (grid, P, Q, rates, rates, np.arange(2 * grid.blocks, dtype=np.int32), options, 0)
    for threads in (1, 2):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                for _ in range(100):
                    factorization.epoch(*arguments, threads)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)


def test_callbacks_and_budgets():
    pairs, ratings = planted(60, 50)
    model = MatrixFactorization(n_factors=5, max_iter=9, tol=None, random_state=0)
    model.set_callbacks(AtTheEndOf(3, lambda _: True)).fit(pairs, ratings)
    assert (model.stop_reason_, model.n_iter_) == ("callback", 3)
    late = clone(model).set_callbacks().set_params(max_seconds=1e-9).fit(pairs, ratings)
    assert (late.stop_reason_, late.n_iter_) == ("max_seconds", 1)
    assert_array_equal(
        model.predict(pairs),
        clone(model).set_callbacks().set_params(max_iter=3).fit(pairs, ratings).predict(pairs),
    )


def test_the_best_epoch_is_kept():
    pairs, ratings = planted(60, 50, noise=0.8)
    settings = {"n_factors": 30, "alpha": 0, "tol": None, "early_stopping": True, "random_state": 0}
    model = MatrixFactorization(max_iter=60, **settings).fit(pairs, ratings)
    assert model.best_epoch_ == np.argmin(model.history_["validation_loss"]) + 1 < 60
    best = MatrixFactorization(max_iter=model.best_epoch_, **settings).fit(pairs, ratings)
    assert_array_equal(model.user_factors_, best.user_factors_)


@pytest.mark.parametrize("loss", ["log_loss", "bpr"])
def test_early_stopping_of_implicit_feedback(loss):
    model = MatrixFactorization(
        loss, alpha=0, max_iter=300, early_stopping=True, random_state=0
    ).fit(tastes())
    assert model.stop_reason_ == "validation"


# ---- going on ----


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "log_loss"},
        {"loss": "bpr"},
        {"positive": True},
        {"early_stopping": True, "alpha": 0.0},
        {"learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 1},
        {"learning_rate": CosineDecay(0.05, epochs=9)},
        {"random_state": np.random.RandomState(3)},
    ],
    ids=" ".join,
)
def test_a_fit_in_which_nothing_has_changed_goes_on_exactly(options):
    pairs, ratings = planted(60, 50, noise=0.5)
    ratings = abs(ratings)
    settings = {"n_factors": 5, "tol": None, "random_state": 3, "warm_start": True} | options
    whole, model = (MatrixFactorization(max_iter=epochs, **deepcopy(settings)) for epochs in (9, 4))
    model.fit(pairs, ratings)
    if isinstance(settings["random_state"], int):
        model = pickle.loads(pickle.dumps(model))
    model.set_params(max_iter=5, n_jobs=2).fit(pairs, ratings)
    whole.fit(pairs, ratings)
    assert_array_equal(model.user_factors_, whole.user_factors_)
    assert_array_equal(model.item_biases_, whole.item_biases_)
    assert (
        model.history_["loss"] == whole.history_["loss"]
        and len(model.history_["loss"]) == 9 == model.t_
    )
    assert (model.n_iter_, whole.n_iter_) == (5, 9) and vars(model).get("best_epoch_") == vars(
        whole
    ).get("best_epoch_")
    assert_array_equal(model.recommend([3], 4)[0], whole.recommend([3], 4)[0])


def test_a_fit_goes_on_from_an_interrupted_one():
    pairs, ratings = planted(60, 50)
    settings = {"n_factors": 5, "tol": None, "random_state": 0, "warm_start": True}
    model = MatrixFactorization(max_iter=9, **settings)
    model.set_callbacks(AtTheEndOf(3, lambda _: signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        model.fit(pairs, ratings)
    model.set_callbacks().set_params(max_iter=3).fit(pairs, ratings)
    assert_array_equal(
        model.user_factors_,
        MatrixFactorization(max_iter=6, **settings).fit(pairs, ratings).user_factors_,
    )


def test_a_warm_start_on_other_data_goes_on_from_the_factors():
    pairs, ratings = planted(60, 50, noise=0.5)
    old = pairs[:, 0] < 40
    model = MatrixFactorization(
        n_factors=5, max_iter=20, tol=None, warm_start=True, random_state=0
    ).fit(pairs[old], ratings[old])
    before = model.user_factors_
    with pytest.raises(ValueError, match="diverged"):
        clone(model).set_params(learning_rate="constant", eta0=1e6).fit(pairs, ratings)
    with pytest.raises(ValueError, match="diverged"):
        model.set_params(learning_rate="constant", eta0=1e6).fit(
            [*pairs.tolist(), ("new", "one")], np.append(ratings, 3)
        )
    assert len(model.user_ids_) == 40
    assert_array_equal(model.user_factors_, before)
    model.set_params(learning_rate="auto", max_iter=1).fit(pairs, ratings)
    assert (len(model.user_ids_), model.n_iter_, model.t_, len(model.history_["loss"])) == (
        60,
        1,
        21,
        1,
    )
    anew = clone(model).fit(pairs, ratings)
    assert model.score(pairs[old], ratings[old]) > anew.score(pairs[old], ratings[old])
    again = clone(model).set_params(warm_start=False).fit(pairs, ratings)
    assert_array_equal(again.fit(pairs, ratings).user_factors_, anew.user_factors_)


# ---- forms of input ----


def test_all_forms_of_input_train_the_same_model():
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 6, (12, 9)).astype(float)
    u, i = np.nonzero(rng.random(matrix.shape) < 0.6)
    r = matrix[u, i]
    assert (r == 0).any()
    stored = sparse.coo_array((r, (u, i)), shape=(12, 9))
    triples = np.column_stack([u, i, r])
    frame = pd.DataFrame({"who": u, "what": i, "stars": r.astype(int)})
    forms = [
        (triples,),
        (stored,),
        (stored.tocsr(),),
        (sparse.csr_matrix(stored),),
        (triples.tolist(),),
        (list(zip(u, i, r, strict=True)),),
        (frame,),
        (triples[:, :2], r),
        (frame[["who", "what"]], frame["stars"]),
        (triples.astype(np.float32),),
        (np.asfortranarray(triples),),
        (triples, r),
        (frame.to_records(index=False),),
    ]
    models = [MatrixFactorization(n_factors=4, random_state=0).fit(*form) for form in forms]
    for model in models:
        assert_array_equal(model.item_factors_, models[0].item_factors_)
        assert_array_equal(model.user_ids_, np.unique(u))
        assert model.user_ids_.dtype == np.int64
        assert_array_equal(model.predict(stored), models[0].predict(triples))
    by_column = MatrixFactorization(n_factors=4, random_state=0).fit(
        stored.tocsc()
    )  # the same ratings in another order
    assert_allclose(by_column.predict(triples), models[0].predict(triples), atol=0.5)
    assert_array_equal(np.sort(by_column.user_ids_), np.unique(u))


@pytest.mark.parametrize("module", ["polars", "pyarrow"])
def test_other_data_frames(module):
    library = pytest.importorskip(module)
    columns = {"who": ["a", "b", "a"], "what": [1, 1, 2], "stars": [3.0, 4.0, 5.0]}
    frame = library.DataFrame(columns) if module == "polars" else library.table(columns)
    model = MatrixFactorization(random_state=0).fit(frame)
    expected = MatrixFactorization(random_state=0).fit(list(zip(*columns.values(), strict=True)))
    assert_array_equal(model.user_factors_, expected.user_factors_)


def test_ids_may_be_anything_hashable():
    users, items = (
        [("anna", 1), frozenset({2}), 3.0, "x", -4, 2.5, np.str_("y")],
        ["p", 7, True, b"q", (), 1.5, -2],
    )
    triples = [(u, i, number) for number, (u, i) in enumerate(zip(users, items, strict=True))]
    model = MatrixFactorization(n_factors=2, random_state=0).fit(triples)
    assert list(model.user_ids_) == users and list(model.item_ids_) == items
    ids, scores = model.recommend([3, -4], 7)
    assert set(ids[0]) == set(items) and np.isneginf(scores).sum() == 2
    assert_array_equal(model.predict([(3, "p")]), model.predict([(np.float64(3), "p")]))


@pytest.mark.parametrize(
    "column, known",
    [
        (np.array([3.0, -1.0, 3.0]), [-1, 3]),
        (np.array([-128, 127], np.int8), [-128, 127]),
        (np.array([1.5, 2.0]), [1.5, 2]),
        (np.array([2**64 - 1, 3], np.uint64), [3, 2**64 - 1]),
        (np.array([2**62, -(2**62)]), [-(2**62), 2**62]),
        (np.array(["b", "a"]), ["a", "b"]),
        (np.array([True, False]), [False, True]),
        (np.array([1e300]), [1e300]),
        (np.array(["2020-01-02"], "datetime64[D]"), None),
        (np.array([], float), []),
    ],
)
def test_columns_of_ids(column, known):
    ids = Ids("user")
    assert_array_equal(ids.numbers(column), -1)
    numbers = ids.numbers(column, learn=True)
    assert known is None or list(ids.values) == known
    assert_array_equal(ids.values[numbers].astype(column.dtype), column)
    assert_array_equal(ids.numbers(column), numbers)


def test_implicit_feedback_needs_no_values():
    pairs = tastes()
    one, other = (
        MatrixFactorization("bpr", random_state=0).fit(*form)
        for form in ((pairs,), (pairs, np.full(len(pairs), 7)))
    )
    assert_array_equal(one.user_factors_, other.user_factors_)


@pytest.mark.parametrize("loss", ["log_loss", "bpr"])
def test_interactions_of_weight_zero_are_met_but_not_liked(loss):
    pairs = tastes()
    weights = np.ones(len(pairs))
    weights[pairs[:, 0] == 5] = 0
    model = MatrixFactorization(loss, alpha=0, biased=False, random_state=0).fit(pairs, weights)
    met = pairs[pairs[:, 0] == 5, 1]
    assert not np.isin(model.recommend([5], 60 - len(np.unique(met)))[0], met).any()
    first = MatrixFactorization(loss, alpha=0, biased=False, max_iter=1, random_state=0).fit(
        pairs, weights
    )
    assert_array_equal(model.user_factors_[5], first.user_factors_[5])


def test_a_pair_that_is_there_twice_is_two_ratings():
    triples = [("a", 1, 5.0), ("a", 1, 1.0), ("b", 1, 3.0), ("b", 2, 3.0)]
    model = MatrixFactorization(alpha=0, max_iter=300, n_factors=1, tol=None, random_state=0).fit(
        triples
    )
    assert_allclose(model.predict([("a", 1)]), 3, atol=0.15)
    assert model.recommend(["a"], 1)[0] == [[2]]


# ---- the model at work ----


@pytest.fixture(scope="module")
def fitted():
    pairs, ratings = planted(40, 30, noise=0.2)
    return MatrixFactorization(n_factors=4, random_state=0).fit(pairs, ratings), pairs, ratings


def test_recommendations_are_the_highest_scores(fitted):
    model, pairs, _ = fitted
    users = np.arange(40)
    table = (
        model.mean_rating_
        + model.user_biases_[:, None]
        + model.item_biases_
        + model.user_factors_ @ model.item_factors_.T
    )
    ids, scores = model.recommend(users, 7, exclude_seen=False)
    assert ids.shape == scores.shape == (40, 7)
    assert_array_equal(ids, np.argsort(-table, axis=1)[:, :7])
    assert_allclose(scores, -np.sort(-table, axis=1)[:, :7], rtol=1e-5)
    table[tuple(pairs.T)] = -np.inf
    ids, scores = model.recommend(users, 7)
    assert_array_equal(ids, np.argsort(-table, axis=1)[:, :7])
    everything, scores = model.recommend(users[:3], 30)
    assert_array_equal(np.sort(everything, axis=1), np.tile(np.arange(30), (3, 1)))
    assert_array_equal(np.isneginf(scores).sum(axis=1), np.bincount(pairs[:, 0])[:3])
    empty, _ = model.recommend([], 4)
    assert empty.shape == (0, 4)


def test_recommendations_in_pieces(fitted, monkeypatch):
    model, _, _ = fitted
    whole = model.recommend(np.arange(40), 5)
    monkeypatch.setattr("fastgd.recommender.CHUNK", 100)
    for part, expected in zip(model.recommend(np.arange(40), 5), whole, strict=True):
        assert_allclose(part, expected, rtol=1e-6)


def test_similar_items_point_the_same_way(fitted):
    model, _, _ = fitted
    ids, cosines = model.similar_items([4, 9], 6)
    factors = model.item_factors_ / np.linalg.norm(model.item_factors_, axis=1, keepdims=True)
    table = factors[[4, 9]] @ factors.T
    table[[0, 1], [4, 9]] = -np.inf
    assert_array_equal(ids, np.argsort(-table, axis=1)[:, :6])
    assert_allclose(cosines, -np.sort(-table, axis=1)[:, :6], rtol=1e-5)


def test_unknown_users_and_items(fitted):
    model, pairs, _ = fitted
    known = model.predict([(999, 3), (2, 999), (999, 999)])
    assert_allclose(
        known,
        [
            model.mean_rating_ + model.item_biases_[3],
            model.mean_rating_ + model.user_biases_[2],
            model.mean_rating_,
        ],
        rtol=1e-5,
    )
    ids, _ = model.recommend([999, "nobody"], 5)
    assert_array_equal(ids, np.tile(np.argsort(-model.item_biases_)[:5], (2, 1)))
    strict = clone(model).set_params(handle_unknown="error").fit(pairs, np.ones(len(pairs)))
    for call, who in (
        (lambda: strict.predict([(999, 3)]), "user: 999"),
        (lambda: strict.predict([(2, "x")]), "item: 'x'"),
        (lambda: strict.recommend([999]), "user: 999"),
        (lambda: model.similar_items([999]), "item: 999"),
    ):
        with pytest.raises(ValueError, match=f"Unknown {who}"):
            call()


def test_predictions_keep_within_the_ratings(fitted):
    model, pairs, ratings = fitted
    wild = (
        clone(model)
        .set_params(alpha=0, max_iter=3, learning_rate="constant", eta0=0.2)
        .fit(pairs, np.sign(ratings - 3))
    )
    assert (
        abs(wild.predict(pairs)).max() <= 1 < abs(wild.set_params(clip=False).predict(pairs)).max()
    )


def test_partial_fit_brings_new_users_and_items():
    pairs, ratings = planted(80, 60, noise=0.1)
    old = (pairs[:, 0] < 60) & (pairs[:, 1] < 50)
    model = MatrixFactorization(n_factors=5, alpha=0.01, random_state=0).fit(
        pairs[old], ratings[old]
    )
    before = model.user_factors_
    fresh = pairs[:, 0] >= 60
    rmse = -model.score(pairs[fresh], ratings[fresh])
    for _ in range(20):
        assert model.partial_fit(pairs[fresh], ratings[fresh]) is model
    assert_array_equal(model.user_factors_[:60], before)
    assert_array_equal(model.user_ids_, np.arange(80))
    assert sorted(model.item_ids_) == list(range(60))
    assert -model.score(pairs[fresh], ratings[fresh]) < 0.5 * rmse
    assert model.n_iter_ == 1 and len(model.history_["loss"]) == 50 == model.t_
    assert not np.isin(model.recommend([70], 5)[0], pairs[pairs[:, 0] == 70, 1]).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_partial_fit_from_nothing(loss):
    pairs = tastes()
    model, ratings = MatrixFactorization(loss, random_state=0), np.arange(len(pairs)) % 5
    for part in np.array_split(np.arange(len(pairs)), 4):
        model.partial_fit(pairs[part], ratings[part])
    assert len(model.history_["loss"]) == 4
    assert np.isfinite(model.predict(pairs)).all()
    again = MatrixFactorization(loss, random_state=0)
    for part in np.array_split(np.arange(len(pairs)), 4):
        again.partial_fit(pairs[part], ratings[part])
    assert_array_equal(again.user_factors_, model.user_factors_)


@pytest.mark.parametrize(
    "change", [{"n_factors": 9}, {"dtype": "float64"}, {"biased": False}, {"loss": "bpr"}]
)
def test_what_partial_fit_cannot_change(change):
    pairs, ratings = planted(20, 15)
    model = MatrixFactorization(n_factors=4, random_state=0).fit(pairs, ratings)
    predicted, factors = model.predict(pairs), model.user_factors_
    model.set_params(**change)
    assert_array_equal(model.predict(pairs), predicted)
    assert_array_equal(model.user_factors_, factors)
    with pytest.raises(ValueError, match=f"{next(iter(change))}=.*new fit"):
        model.partial_fit(pairs, abs(ratings))
    assert model.fit(pairs, abs(ratings)).predict(pairs).shape == (len(pairs),)


# ---- streams ----


def streamed(pairs, ratings, first, epochs=30, **options):
    """A model whose stream begins with the ratings `first`: (numbers, values)."""
    model = MatrixFactorization(n_factors=6, random_state=0, **options)
    rows, values = first
    if len(rows):
        model.partial_fit(pairs[rows], values)
    for _ in range(epochs):
        model.partial_fit(pairs, ratings)
    return model


@pytest.mark.parametrize("first", ["one", "equal", "nearly equal", "few"])
@pytest.mark.parametrize("unit, offset", [(1, 0), (1e-6, 0), (0.01, 1), (1e6, -1e7)])
def test_a_stream_may_begin_with_any_ratings(first, unit, offset):
    """It ends as good as one whose first call holds all of them, in any unit."""
    pairs, ratings = planted(100, 80, noise=0.3)
    ratings = unit * ratings + offset
    test = np.random.default_rng(1).random(len(ratings)) < 0.1
    train, known = pairs[~test], ratings[~test]
    rows = np.arange({"one": 1, "equal": 20, "nearly equal": 20, "few": 5}[first])
    values = known[rows] if first in ("one", "few") else np.full(len(rows), known[0])
    if first == "nearly equal":
        values = values + 1e-9 * unit * rows
    errors = [
        -streamed(train, known, begun).score(pairs[test], ratings[test])
        for begun in ((rows, values), (rows[:0], values[:0]))
    ]
    assert errors[0] < 1.1 * errors[1] < 0.7 * ratings.std()


@pytest.mark.parametrize("biased", [True, False])
def test_units_do_not_matter_to_a_stream(biased):
    pairs, ratings = planted(60, 50, noise=0.3)
    told = []
    for unit in (1, 1e-6, 1e6):
        model = MatrixFactorization(n_factors=4, dtype="float64", biased=biased, random_state=0)
        for part in np.split(np.arange(len(ratings)), [1, 3, 10, 100]):
            model.partial_fit(pairs[part], unit * ratings[part])
        told.append(model.predict(pairs) / unit)
    assert_allclose(told[1], told[0], rtol=1e-6)
    assert_allclose(told[2], told[0], rtol=1e-6)


@pytest.mark.parametrize("far", [3.5, 1e3, -1e6])
def test_other_statistics_leave_predictions_as_they_are(far):
    """Ratings of a new user and a new item, of another size, do not move those of the others."""
    pairs, ratings = planted(60, 50, noise=0.3)
    model = MatrixFactorization(n_factors=4, clip=False, random_state=0).fit(pairs, ratings)
    before = model.predict([*pairs.tolist(), (999, 3)])
    model.partial_fit([("new", "one")], [far])
    assert_allclose(model.predict([*pairs.tolist(), (999, 3)]), before, atol=1e-5 + 1e-8 * abs(far))
    assert model.mean_rating_ == pytest.approx(np.append(ratings, far).mean())


def test_a_stream_goes_on_from_a_file():
    pairs, ratings = planted(60, 50, noise=0.3)
    models = [MatrixFactorization(n_factors=4, random_state=0) for _ in range(2)]
    for part in np.split(np.arange(len(ratings)), [1, 2, 50, 400]):
        models = [
            models[0].partial_fit(pairs[part], ratings[part]),
            pickle.loads(pickle.dumps(models[1])).partial_fit(pairs[part], ratings[part]),
        ]
    assert_array_equal(models[0].predict(pairs), models[1].predict(pairs))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stream_has_the_same_bits_for_any_number_of_threads(loss):
    rng = np.random.default_rng(0)
    pairs = np.column_stack([rng.integers(0, 2000, 40_000), rng.integers(0, 1000, 40_000)])
    ratings = rng.integers(1, 6, len(pairs))
    models = [
        MatrixFactorization(loss, n_factors=8, n_jobs=n_jobs, random_state=0) for n_jobs in (1, 4)
    ]
    for part in (slice(0, 1), slice(1, 100), slice(100, None)):
        for model in models:
            model.partial_fit(pairs[part], ratings[part])
    assert_array_equal(models[0].user_factors_, models[1].user_factors_)
    assert_array_equal(models[0].item_biases_, models[1].item_biases_)


@pytest.mark.parametrize("loss", ["log_loss", "bpr"])
@pytest.mark.parametrize("weight", [0.0, 1e-6, 100.0])
def test_the_first_weight_of_a_stream_does_not_matter(loss, weight):
    pairs = tastes()
    scores = []
    for first in (1.0, weight):
        model = MatrixFactorization(loss, n_factors=8, random_state=0).partial_fit(
            pairs[200:201], [first]
        )
        for _ in range(15):
            model.partial_fit(pairs[200:])
        scores.append(model.score(pairs[:200]))
    assert scores[1] > 0.95 * scores[0] > 0.5


def test_a_warm_start_is_in_units_of_the_new_ratings():
    pairs, ratings = planted(60, 50, noise=0.3)
    model = MatrixFactorization(n_factors=4, warm_start=True, random_state=0).fit(pairs, ratings)
    plain = deepcopy(model).set_params(max_iter=5).fit(pairs, ratings + 0)
    model.set_params(max_iter=5, tol=1e-5).fit(pairs, 1e3 * ratings + 1e5)
    assert model.mean_rating_ == pytest.approx((1e3 * ratings + 1e5).mean())
    assert model.score(pairs, 1e3 * ratings + 1e5) / 1e3 == pytest.approx(
        plain.score(pairs, ratings), rel=0.05
    )
    assert_array_equal(
        model.fit(pairs, np.full(len(pairs), 7.0)).set_params(clip=False).predict(pairs), 7
    )
    again = clone(model).fit(pairs, ratings)
    assert model.fit(pairs, ratings).score(pairs, ratings) > 1.1 * again.score(pairs, ratings)


# ---- numbers of any size ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "unit, offset", [(1e-310, 0), (1e-200, 0), (1e155, 0), (1e307, 0), (1, 1e8), (1, 1e12)]
)
def test_ratings_of_any_size(unit, offset, dtype):
    pairs, ratings = planted(40, 30, noise=0.3)
    ratings = np.round(ratings)
    plain = MatrixFactorization(n_factors=4, dtype=dtype, random_state=0).fit(pairs, ratings)
    model = clone(plain).fit(pairs, unit * ratings + offset)
    assert_allclose((model.predict(pairs) - offset) / unit, plain.predict(pairs), atol=2e-3)
    assert_allclose(
        model.score(pairs, unit * ratings + offset) / unit, plain.score(pairs, ratings), rtol=1e-2
    )
    assert_allclose(
        (model.recommend([3], 4)[1] - offset) / unit, plain.recommend([3], 4)[1], atol=2e-3
    )
    assert_allclose(model.user_biases_ / unit, plain.user_biases_, atol=2e-3)
    assert_allclose(model.user_factors_ / unit**0.5, plain.user_factors_, atol=2e-2)


@pytest.mark.parametrize("value", [0, 3, 0.1, 1e12, -1e155, 1e-200, 5e-324])
def test_equal_ratings_are_their_value(value):
    pairs = [(0, 0), (0, 1), (1, 1)] * 7
    model = MatrixFactorization(clip=False, max_iter=100, random_state=0)
    for method in (model.fit, model.partial_fit):
        method(pairs, [value] * 21)
        assert_array_equal(model.predict([(0, 0), (1, 0), (9, 9)]), value)
        assert_array_equal(model.recommend([0, 9], 2, exclude_seen=False)[1], value)
        assert model.n_iter_ == 1 and model.loss_curve_[-1] == 0
    assert clone(model).fit(pairs, [value] * 21).stop_reason_ == "tol"


# ---- scikit-learn ----

NOT_PAIRS = "X has more than three columns there, or a single one: no pairs (user, item)"
SPARSE = "X is sparse there and has a y too, but the entries of a sparse X are the ratings"
NOT_A_TABLE = (
    "the checks give features; ids are no features, and pairs and triples go into one model"
)
FAIL = {
    "check_n_features_in": NOT_A_TABLE,
    "check_n_features_in_after_fitting": NOT_PAIRS,
    "check_positive_only_tag_during_fit": NOT_PAIRS,
    "check_estimators_dtypes": NOT_PAIRS,
    "check_dtype_object": NOT_PAIRS,
    "check_fit2d_1sample": NOT_PAIRS,
    "check_estimator_sparse_tag": SPARSE,
}


@parametrize_with_checks(
    [MatrixFactorization(n_factors=4, max_iter=5)], expected_failed_checks=lambda _: FAIL
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("form", ["pairs", "triples", "frame"])
def test_grid_search(form):
    pairs, ratings = planted(60, 50, noise=0.5)
    triples = np.column_stack([pairs, ratings])
    X, y = {
        "pairs": (pairs, ratings),
        "triples": (triples, None),
        "frame": (pd.DataFrame(triples), None),
    }[form]
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(
        MatrixFactorization(n_factors=4, random_state=0), {"alpha": [0.05, 10.0]}, cv=folds
    ).fit(X, y)
    assert search.best_params_ == {"alpha": 0.05}
    if form == "pairs":
        rmse = cross_val_score(
            search.best_estimator_, X, y, cv=folds, scoring="neg_root_mean_squared_error"
        )
        assert_allclose(rmse.mean(), search.best_score_, rtol=1e-6)


def test_scorers_of_rankings():
    pairs = tastes()
    model = MatrixFactorization("bpr", n_factors=8, random_state=0)
    for scorer in (precision_at_k, ndcg_at_k, partial(precision_at_k, k=3)):
        scores = cross_val_score(
            model, pairs, cv=KFold(3, shuffle=True, random_state=0), scoring=scorer
        )
        assert (scores > 0.3).all() and (scores <= 1).all()


def test_measures_of_rankings_are_their_definitions(fitted):
    model, pairs, ratings = fitted
    rng = np.random.default_rng(0)
    held_out = np.unique(rng.integers(0, [40, 30], (150, 2)), axis=0)
    values = rng.integers(0, 6, len(held_out))
    table = (
        model.user_biases_[:, None]
        + model.item_biases_
        + model.user_factors_ @ model.item_factors_.T
    ).astype(float)
    table[tuple(pairs.T)] = -1e3 - np.arange(len(pairs)) / 1e3
    for threshold in (None, 4):
        relevant = np.zeros((40, 30))
        kept = held_out[values > 0 if threshold is None else values >= threshold]
        relevant[tuple(kept.T)] = 1
        users = np.unique(kept[:, 0])
        own, scores = relevant[users], table[users]
        hits = np.take_along_axis(own, np.argsort(-scores, axis=1)[:, :5], axis=1)
        unseen = [len(np.flatnonzero(row > -1e3)) >= 5 for row in scores]
        assert all(unseen)
        assert_allclose(
            precision_at_k(model, held_out, values, k=5, threshold=threshold), hits.mean()
        )
        assert_allclose(
            ndcg_at_k(model, held_out, values, k=5, threshold=threshold),
            ndcg_score(own, scores, k=5),
        )
    with pytest.raises(ValueError, match="relevant"):
        precision_at_k(model, held_out, values, threshold=99)


def test_pickle_and_clone(fitted):
    model, pairs, ratings = fitted
    other = pickle.loads(pickle.dumps(model))
    assert_array_equal(other.predict(pairs), model.predict(pairs))
    assert_array_equal(other.recommend([1], 3)[0], model.recommend([1], 3)[0])
    with pytest.raises(NotFittedError):
        clone(model).predict(pairs)
    with pytest.raises(NotFittedError):
        clone(model).recommend([1])


# ---- bad input ----


def test_ratings_all_equal():
    model = MatrixFactorization(random_state=0).fit([(0, 0, 3), (0, 1, 3), (1, 1, 3)])
    assert_allclose(model.predict([(0, 0), (1, 0), (9, 9)]), 3)


def test_one_rating():
    for loss in LOSSES:
        model = MatrixFactorization(loss, random_state=0).fit([("a", "b", 4)])
        assert np.isfinite(model.predict([("a", "b")])).all()


def test_a_user_without_ratings():
    matrix = sparse.csr_array(np.array([[5.0, 3, 0], [0, 0, 0], [4, 0, 1]]))
    model = MatrixFactorization(random_state=0).fit(matrix)
    assert_array_equal(model.user_ids_, [0, 2])
    ids, scores = model.recommend([1], 3)
    assert_array_equal(ids[0], np.argsort(-model.item_biases_))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    "X, y, message",
    [
        ([(0, 0, np.nan), (1, 1, 2)], None, "ratings must be finite"),
        ([(0, 0, np.inf), (1, 1, 2)], None, "ratings must be finite"),
        ([(0, 0, "good"), (1, 1, "bad")], None, "ratings must hold numbers"),
        ([(np.nan, 0, 1.0)], None, "user ids must not be missing"),
        ([(0, None, 1.0)], None, "item ids must not be missing"),
        ([(0, np.inf, 1.0)], None, "item ids must not be missing or infinite"),
        ([(0, 1), (1, 2)], None, "requires y"),
        ([(0, 1), (1, 2)], [1, 2, 3], "inconsistent numbers of samples"),
        ([(0, 1), (1, 2, 3)], None, "of one length"),
        ([(0, 1, 2, 3)], None, "4 feature"),
        (np.empty((0, 3)), None, "0 sample"),
        ([], None, "0 sample"),
        (np.zeros(3), None, "two dimensions"),
        (sparse.eye_array(3).tocsr(), [1, 2, 3], "sparse X"),
        (7, None, "X must be a sparse matrix"),
        ([(0, 0, 1e308), (1, 1, -1e308)], None, "ratings are too large"),
        ([(0, 0, 1.0), (1, 1, pd.NA)], None, "ratings must be finite, entry 1 is missing"),
        ([(0, 0), (1, 1)], [1.0, pd.NA], "y must be finite, entry 1 is missing"),
        (
            [(0, 0), (1, 1)],
            np.ma.array([1.0, 2.0], mask=[0, 1]),
            "y must not have missing entries, 1 are masked",
        ),
        (
            np.ma.array(np.ones((2, 3)), mask=[[0, 0, 0], [0, 1, 0]]),
            None,
            "X must not have missing entries, 1 are masked",
        ),
    ],
)
def test_what_is_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        MatrixFactorization().fit(X, y)


MISSING = {
    "NA": pd.NA,
    "None": None,
    "NaN": np.nan,
    "NaT": pd.NaT,
    "NumPy's NaT": np.datetime64("NaT"),
}


@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("side", ["user", "item"])
def test_missing_ids_are_named_everywhere(side, value):
    triples = [["a", "x", 1.0], ["b", "y", 2.0], ["b", "x", 3.0]]
    model = MatrixFactorization(n_factors=2, random_state=0).fit(triples)
    implicit = MatrixFactorization("bpr", n_factors=2, random_state=0).fit(triples)
    triples[2][side == "item"] = value
    for X in (triples, pd.DataFrame(triples), pd.DataFrame(triples).to_numpy(dtype=object)):
        for call in (
            MatrixFactorization().fit,
            MatrixFactorization().partial_fit,
            model.partial_fit,
            model.predict,
            model.score,
            partial(precision_at_k, implicit),
            partial(ndcg_at_k, implicit),
        ):
            with pytest.raises(
                ValueError, match=f"{side} ids must not be missing or infinite: entry 2 is"
            ):
                call(X)
    assert len(model.user_ids_) == len(model.item_ids_) == 2
    call = model.similar_items if side == "item" else model.recommend
    for ids in (["x", value], pd.Series(["x", value])):
        with pytest.raises(
            ValueError, match=f"{side} ids must not be missing or infinite: entry 1 is"
        ):
            call(ids, 1)


@pytest.mark.parametrize("dtype", ["Int64", "string", "category", "Float64", "datetime64[ns]"])
def test_missing_ids_of_any_column_are_named(dtype):
    known = (
        ["2020-01-01", None, "2020-01-02"]
        if dtype in ("string", "category", "datetime64[ns]")
        else [1, None, 2]
    )
    frame = pd.DataFrame(
        {"who": [1, 1, 2], "what": pd.Series(known).astype(dtype), "stars": [1.0, 2.0, 3.0]}
    )
    with pytest.raises(ValueError, match="item ids must not be missing or infinite: entry 1 is"):
        MatrixFactorization().fit(frame)


@pytest.mark.parametrize(
    "names", [["who", "who", "stars"], ["a", "a", "a"], [0, 1, 1], ["who", "who"]]
)
def test_columns_of_one_name_are_named(names):
    frame = pd.DataFrame(np.ones((3, len(names)))).set_axis(names, axis=1)
    model = MatrixFactorization().fit(frame.to_numpy(), np.arange(3))
    twice = max(names, key=names.count)
    for call in (
        MatrixFactorization().fit,
        model.partial_fit,
        model.predict,
        model.score,
        partial(precision_at_k, model),
    ):
        with pytest.raises(
            ValueError, match=f"duplicate column names: {twice!r} is there {names.count(twice)}"
        ):
            call(frame)


def test_columns_may_have_any_names():
    frame = pd.DataFrame({"columns": [1, 2], "column_names": [3, 4], "stars": [5.0, 1.0]})
    expected = MatrixFactorization(random_state=0).fit(frame.to_numpy())
    for X in (frame, frame.to_records(index=False)):
        assert_array_equal(
            MatrixFactorization(random_state=0).fit(X).user_factors_, expected.user_factors_
        )


def test_ids_without_a_hash_are_refused():
    with pytest.raises(TypeError, match="user ids must be hashable"):
        MatrixFactorization().fit([([1], 0, 1.0)])


@pytest.mark.parametrize("values, message", [([-1, 2], ">= 0"), ([0, 0], "weight 0")])
def test_weights_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MatrixFactorization("bpr").fit([(0, 1), (1, 0)], values)


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_factors": 0},
        {"n_factors": -1},
        {"n_factors": 2.5},
        {"alpha": -1},
        {"loss": "hinge"},
        {"max_iter": 0},
        {"dtype": "float16"},
        {"n_negatives": 0},
        {"handle_unknown": "guess"},
        {"learning_rate": "pa1"},
        {"n_jobs": 0},
        {"positive": "yes"},
    ],
)
def test_parameters_that_are_refused(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        MatrixFactorization(**parameters).fit([(0, 0, 1), (1, 1, 2)])


@pytest.mark.parametrize("n", [0, -1, 31, 2.5])
def test_numbers_of_items_that_are_refused(fitted, n):
    with pytest.raises(ValueError, match="n must be a whole number from 1 to 30"):
        fitted[0].recommend([0], n)
    with pytest.raises(ValueError, match="from 1 to 29"):
        fitted[0].similar_items([0], n)
    with pytest.raises(ValueError, match="sequence of ids"):
        fitted[0].recommend("anna", 3)


def test_the_last_good_model_is_kept():
    pairs, ratings = planted(60, 50)
    model = MatrixFactorization(n_factors=5, random_state=0).fit(pairs, ratings)
    predicted, history = model.predict(pairs), model.history_
    model.set_params(learning_rate="constant", eta0=1e6)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="diverged"):
            method([*pairs.tolist(), ("new", "one")], np.append(ratings, 3))
        assert_array_equal(model.predict(pairs), predicted)
        assert (
            model.history_ is history and len(model.user_ids_) == 60 and len(model.item_ids_) == 50
        )
    model.set_params(learning_rate="auto").partial_fit(pairs, ratings)
    assert np.isfinite(model.predict(pairs)).all()


def test_wild_ratings_do_not_run_away():
    """One rating a million times the others: the steps are implicit."""
    pairs, ratings = planted(60, 50)
    ratings[7] = 1e6
    assert np.isfinite(
        MatrixFactorization(alpha=0, random_state=0).fit(pairs, ratings).history_["loss"]
    ).all()
