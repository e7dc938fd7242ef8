"""The order of the visits: every row once an epoch, as random as promised, and descent by it as
good as by full permutations.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastgd.kernels import stochastic
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.order import shuffle, shuffle_blocks
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.order import Order
from fastgd.problem.problem import Problem
from reference import store

ROWS, BLOCK = 8192, 32  # of 10 columns: 256 blocks, 4 pools


@pytest.fixture
def no_cache(monkeypatch):
    """Blocks on data that would fit the cache, in pools that are small enough for it."""
    monkeypatch.setattr(Order, "CACHE_BYTES", 0)
    monkeypatch.setattr(Order, "POOL_BLOCKS", 64)


def noise(rows=ROWS, columns=10, seed=0):
    """(X, y) that know nothing of each other, nor a row of the next."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, columns)), rng.standard_normal(rows)


def order_of(X, y, how=True, seed=0, visits=None):
    visits = np.arange(X.shape[0]) if visits is None else visits
    return Order(Problem(as_rows(X), y, None, None, visits, False, 1), X, how, seed)


def epochs_of(order, count=2):
    return np.array([order.next().copy() for _ in range(count)])


def places(visits, block):
    """Where the rows of each block of neighbours are met: its first and its last place, a row a
    block.
    """
    at = np.argsort(visits)
    at = at[: len(at) // block * block].reshape(-1, block)
    return np.column_stack([at.min(1), at.max(1)])


def stays_near(visits, block):
    """Whether the rows of every block are met within one pool."""
    first, last = places(visits, block).T // (block * Order.POOL_BLOCKS)
    return (first == last).all()


# ---- the kernels ----


@settings(deadline=None)
@given(
    rows=st.integers(0, 300),
    block=st.integers(1, 70),
    pool=st.integers(1, 70),
    seed=st.integers(0, 2**64 - 1),
)
def test_blocks_visit_every_row_once(rows, block, pool, seed):
    visits = 3 * np.arange(rows) + 1  # any numbers, not only the first ones
    out, blocks = np.full_like(visits, -1), np.arange(-(-rows // block))
    for _ in range(2):  # `blocks` are left permuted
        shuffle_blocks(visits, out, blocks, block, pool, seed)
        assert_array_equal(np.sort(out), visits)
        assert_array_equal(np.sort(blocks), np.arange(len(blocks)))
    drawn = [visits[number * block : (number + 1) * block] for number in blocks]
    ends = np.cumsum(
        [0] + [sum(map(len, drawn[at : at + pool])) for at in range(0, len(drawn), pool)]
    )
    for number, (begin, end) in enumerate(pairwise(ends)):  # each pool has the rows of its blocks
        rows_of_pool = np.concatenate(drawn[number * pool : (number + 1) * pool])
        assert_array_equal(np.sort(out[begin:end]), np.sort(rows_of_pool))


@settings(deadline=None)
@given(rows=st.integers(0, 300), seed=st.integers(0, 2**64 - 1))
def test_a_permutation_visits_every_row_once(rows, seed):
    values = np.arange(rows)
    shuffle(values, seed)
    assert_array_equal(np.sort(values), np.arange(rows))


@pytest.mark.parametrize("pool, count, length", [(4, 3, 10), (4, 5, 10), (4, 4, 9), (4, 4, 11)])
def test_blocks_that_do_not_fit_are_refused(pool, count, length):
    with pytest.raises(ValueError, match="10 rows in blocks of 3"):
        shuffle_blocks(np.arange(10), np.empty(length, np.intp), np.arange(count), 3, pool, 0)


@pytest.mark.parametrize(
    "block, pool, blocks", [(0, 4, [0]), (3, 0, [0, 1]), (3, 4, [0, 2]), (3, 4, [0, -1])]
)
def test_blocks_that_are_none_are_refused(block, pool, blocks):
    with pytest.raises(ValueError, match="block"):
        shuffle_blocks(np.arange(6), np.empty(6, np.intp), np.array(blocks), block, pool, 0)


def assert_uniform(counts, freedom):
    """Chi-square within five standard deviations of its mean; the seeds are fixed."""
    expected = counts.sum() / counts.size
    assert abs(((counts - expected) ** 2 / expected).sum() - freedom) < 5 * np.sqrt(2 * freedom)


def test_every_permutation_is_as_likely():
    counts = np.zeros((4, 4, 4, 4))
    for seed in range(12_000):
        values = np.arange(4)
        shuffle(values, seed)
        counts[tuple(values)] += 1
    assert np.count_nonzero(counts) == 24
    assert_uniform(counts[counts > 0], 23)


def test_every_row_is_met_in_every_place():
    rows, counts = 12, np.zeros((12, 12))
    out, blocks = np.empty(rows, np.intp), np.arange(4)
    for seed in range(10_000):
        shuffle_blocks(np.arange(rows), out, blocks, 3, 2, seed)
        counts[out, np.arange(rows)] += 1
    assert_uniform(counts, 11 * 11)


# ---- the order of an epoch ----


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 3000),
    columns=st.sampled_from([1, 10, 128]),
    layout=st.sampled_from(["dense", "csr32"]),
    how=st.sampled_from([True, "full", False]),
    cache=st.sampled_from([0, Order.CACHE_BYTES]),
    pool=st.sampled_from([1, 3, Order.POOL_BLOCKS]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_epoch_visits_every_row_once(rows, columns, layout, how, cache, pool, seed):
    X, y = np.ones((rows, columns)), np.random.default_rng(rows).standard_normal(rows)
    visits = np.flatnonzero(
        np.random.default_rng(seed).random(rows) < 0.9
    )  # rows of weight 0 are left out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Order, "CACHE_BYTES", cache)
        patch.setattr(Order, "POOL_BLOCKS", pool)
        order = order_of(store(X, layout, np.float64), y, how, seed, visits)
        for epoch in epochs_of(order, 3):
            assert_array_equal(np.sort(epoch), visits)


@pytest.mark.parametrize("how", [True, "full"])
@pytest.mark.parametrize("columns, block", [(10, 32), (128, 8)])
def test_orders_differ_between_epochs_and_seeds(how, columns, block, no_cache):
    X, y = noise(columns=columns)
    a, b = (epochs_of(order_of(X, y, how, seed), 3) for seed in (0, 1))
    assert stays_near(a[0], block) == (how is True)
    assert len(np.unique(np.concatenate([a, b]), axis=0)) == 6
    agreement = [
        np.mean(one == other)
        for one, other in [(a[0], a[1]), (a[1], a[2]), (a[0], b[0]), (a[1], b[0])]
    ]
    assert max(agreement) < 0.005


@pytest.mark.parametrize("how", [True, "full", False])
def test_the_same_seed_gives_the_same_order(how, no_cache):
    X, y = noise()
    assert_array_equal(epochs_of(order_of(X, y, how, 5), 3), epochs_of(order_of(X, y, how, 5), 3))


def test_no_shuffle_is_the_order_given(no_cache):
    visits = np.array([4, 0, 2])
    assert_array_equal(epochs_of(order_of(*noise(5), False, visits=visits)), [visits, visits])


def is_full(X, y, seed=0):
    """Whether shuffle=True visits exactly as shuffle="full" does."""
    return np.array_equal(
        epochs_of(order_of(X, y, True, seed)), epochs_of(order_of(X, y, "full", seed))
    )


def test_rows_that_fit_the_cache_are_fully_permuted(monkeypatch):
    X, y = noise()
    assert X.nbytes < Order.CACHE_BYTES
    assert is_full(X, y)
    monkeypatch.setattr(Order, "POOL_BLOCKS", 64)
    monkeypatch.setattr(Order, "CACHE_BYTES", X.nbytes)
    assert is_full(X, y)
    monkeypatch.setattr(Order, "CACHE_BYTES", X.nbytes - 1)
    assert not is_full(X, y)
    assert is_full(X[: ROWS // 2], y[: ROWS // 2])


def test_few_rows_are_fully_permuted(no_cache):
    enough = 2 * BLOCK * Order.POOL_BLOCKS
    X, y = noise(enough)
    assert not is_full(X, y)
    assert is_full(X[:-1].copy(), y[:-1])


def test_the_rows_to_train_on_count(monkeypatch):
    """Rows left out need no cache."""
    X, y = noise()
    monkeypatch.setattr(Order, "CACHE_BYTES", X.nbytes // 2)
    monkeypatch.setattr(Order, "POOL_BLOCKS", 64)
    visits = np.arange(0, ROWS, 2)
    orders = [epochs_of(order_of(X, y, how, 0, visits)) for how in (True, "full")]
    assert_array_equal(*orders)


def test_wide_rows_come_in_short_blocks(no_cache):
    X, y = noise(2048, 128)
    (visits,) = epochs_of(order_of(X, y), 1)
    assert stays_near(visits, 8)
    assert not stays_near(np.random.default_rng(0).permutation(2048), 8)


@pytest.mark.parametrize("how", [True, "full"])
def test_a_full_permutation_is_uniform(how):
    X, y = noise(16)
    counts, followers = np.zeros((16, 16)), np.zeros((16, 16))
    order = order_of(X, y, how)
    for _ in range(5000):
        visits = order.next()
        counts[visits, np.arange(16)] += 1
        followers[visits[:-1], visits[1:]] += 1
    assert_uniform(counts, 15 * 15)
    assert_uniform(followers[~np.eye(16, dtype=bool)], 16 * 15 - 1)


def test_all_blocks_meet_in_a_pool(no_cache):
    """Which blocks share a pool is drawn anew every epoch."""
    X, y = noise()
    order, count = order_of(X, y), ROWS // BLOCK
    together = np.zeros((count, count))
    for _ in range(60):
        pool = places(order.next(), BLOCK)[:, 0] // (BLOCK * Order.POOL_BLOCKS)
        together += pool[:, None] == pool
    share = together[~np.eye(count, dtype=bool)] / 60
    assert abs(share.mean() - (Order.POOL_BLOCKS - 1) / (count - 1)) < 1e-9
    assert 0 < share.min() and share.max() < 0.65


# ---- data that is not in random order ----


def grouped(rng, group):
    """Rows of a group are alike; returns (centres, rows)."""
    centres = np.repeat(rng.standard_normal((-(-ROWS // group), 10)), group, axis=0)[:ROWS]
    return centres, centres + 0.1 * rng.standard_normal((ROWS, 10))


def sample(kind, seed, group=50):
    """(X, y) of a linear model with noise, in an order that is random or is not."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(10) / np.sqrt(10)
    X = rng.standard_normal((ROWS, 10))
    if kind == "grouped":
        _, X = grouped(rng, group)
    if (
        kind == "mirrored"
        # a group is a direction; the sign is each row's own, and so the targets of neighbours
        # differ
    ):
        centres, X = grouped(rng, group)
        X += (rng.choice([-2, 0], ROWS))[:, None] * centres
    if kind == "slopes":  # every group has slopes of its own; the targets do not tell
        w = w + np.repeat(rng.standard_normal((-(-ROWS // group), 10)), group, axis=0)[
            :ROWS
        ] / np.sqrt(10)
    y = (X * w).sum(1) + 0.5 * rng.standard_normal(ROWS)
    keys = {"by target": y, "by label": y > 0, "by column": X[:, 0]}
    rows = np.argsort(keys[kind], kind="stable") if kind in keys else slice(None)
    return np.ascontiguousarray(X[rows]), y[rows]


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("kind", ["by target", "by label", "grouped", "mirrored"])
def test_neighbours_that_pull_the_same_way_are_fully_permuted(kind, layout, no_cache):
    X, y = sample(kind, 0)
    X = store(X, layout, np.float64)
    assert is_full(X, y)
    assert is_full(X, np.sign(y))
    shuffled = np.random.default_rng(1).permutation(ROWS)
    assert not is_full(X[shuffled], y[shuffled])


def test_a_constant_target_tells_nothing(no_cache):
    X, y = noise()
    assert not is_full(X, np.ones_like(y))


# ---- convergence ----


def objective_of(loss, X, y, theta):
    z = X @ theta[:-1] + theta[-1]
    return np.logaddexp(0, -y * z).mean() if loss == "log_loss" else np.mean((z - y) ** 2) / 2


def descend(loss, X, y, order, rates):
    """The objective at the start and after each epoch; `rates` has one an epoch."""
    theta, rows = np.zeros(X.shape[1] + 1), as_rows(X)
    objective = Objective(loss_of(loss)).codes
    course = {"batch_size": 1, "skip": 0, "passive_aggressive": stochastic.PassiveAggressive.OFF}
    found = [objective_of(loss, X, y, theta)]
    for rate in rates:
        stochastic.epoch(
            DataTerm(rows, y, None, order.next(), objective),
            theta,
            None,
            np.full(len(y), rate),
            course,
        )
        found.append(objective_of(loss, X, y, theta))
    return found


def mean_curves(kind, loss, rates, seeds, how=(True, "full")):
    """Over the seeds: the mean objective at the start and after each epoch, a row for each of
    `how`.
    """
    curves = []
    for seed in range(seeds):
        X, y = sample(kind, seed)
        y = np.where(y > 0, 1.0, -1.0) if loss == "log_loss" else y
        curves.append(
            [
                descend(loss, X, y, order_of(X, y, each, 10 * seed + at), rates)
                for at, each in enumerate(how)
            ]
        )
    return np.mean(curves, axis=0)


def epochs_to(goal, curve):
    """Epochs until the objective is down to `goal`, straight lines between them; inf: never."""
    for epoch, (before, after) in enumerate(pairwise(curve)):
        if after <= goal:
            return epoch + (before - goal) / (before - after)
    return np.inf


LOSSES = ["squared_error", "log_loss"]
KINDS = ["by target", "by label", "by column", "grouped", "mirrored", "slopes"]
DECAYING = 0.02 / np.sqrt(
    np.arange(1, 6)
)  # large: the objective is that of the steps' noise after an epoch
STEADY = {"squared_error": 1e-4, "log_loss": 1e-3}  # small: the way to the minimum takes epochs


@pytest.mark.parametrize("loss", LOSSES)
def test_random_data_converges_as_by_full_permutations(loss, no_cache):
    X, y = sample("random", 0)
    assert not is_full(X, y)
    blocks, full = mean_curves("random", loss, DECAYING, 40)
    for epochs in (1, 2, 5):
        assert abs(blocks[epochs] / full[epochs] - 1) < 0.02


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_data_in_order_ends_where_it_does_by_full_permutations(kind, loss, no_cache):
    blocks, full = mean_curves(kind, loss, DECAYING, 40)
    for epochs in (1, 2, 5):
        assert blocks[epochs] / full[epochs] < 1.04


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["random", *KINDS])
def test_epochs_to_an_objective_are_those_of_full_permutations(kind, loss, no_cache):
    blocks, full = mean_curves(kind, loss, np.full(7, STEADY[loss]), 20)
    assert epochs_to(full[3], blocks) <= 1.1 * 3


@pytest.mark.parametrize("loss", LOSSES)
def test_visits_in_the_order_of_the_targets_take_longer(loss):
    """What the test above would see."""
    given, full = mean_curves("by target", loss, np.full(7, STEADY[loss]), 20, (False, "full"))
    assert epochs_to(full[3], given) > 1.3 * 3


def test_data_sorted_by_a_column_costs_little(no_cache):
    """It gets blocks: a pool has rows of few kinds, and at a rate that averages over a pool this
    shows, a little.
    """
    X, y = sample("by column", 0)
    assert not is_full(X, y)
    blocks, full = mean_curves("by column", "squared_error", np.full(5, 1e-3), 40)
    assert 1 - 0.002 < blocks[-1] / full[-1] < 1.02
