"""Paths of the lasso and the elastic net, and penalties chosen by cross-validation: scikit-learn's
values at a small `tol`, its errors, and the same bits for any number of threads.
"""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context, linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, ShuffleSplit, TimeSeriesSplit

import fastgd
from fastgd import Chunks, ElasticNet, ElasticNetCV, Lasso, LassoCV, enet_path, lasso_path
from fastgd.estimators import path_search
from fastgd.methods.lasso_path import PathData, PathSettings
from fastgd.problem import fold_products
from fastgd.problem.fold_products import FoldProducts
from fastgd.problem.metric import rough_center

EXACT = {"tol": 1e-11, "max_iter": 100_000}


def made(n=120, p=12, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.2 * rng.standard_normal((p, p)) / p**0.5)
    w = np.where(np.arange(p) % 3 == 0, rng.standard_normal(p), 0)
    return X, X @ w + noise * rng.standard_normal(n) + 1.0


def pair(kind, X, y, weights=None, **parameters):
    """(ours, scikit-learn's), fitted exactly."""
    parameters = {"alphas": 20, **EXACT, **parameters}
    return [
        getattr(home, kind)(**parameters).fit(X, y, sample_weight=weights)
        for home in (fastgd, linear_model)
    ]


def assert_same(ours, theirs, rtol=1e-6):
    scale = max(np.abs(theirs.coef_).max(), 1e-300)
    assert_allclose(ours.alphas_, theirs.alphas_, rtol=1e-9)
    assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=rtol)
    assert_allclose(ours.alpha_, theirs.alpha_, rtol=1e-9)
    assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=rtol * scale)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol * scale)
    assert ours.mse_path_.shape == theirs.mse_path_.shape
    assert getattr(ours, "l1_ratio_", None) == getattr(theirs, "l1_ratio_", None)


# ---- known answers ----


def test_orthogonal_columns_have_a_closed_form():
    n = 64
    X = np.linalg.qr(np.random.default_rng(0).standard_normal((n, 4)))[0] * n**0.5
    y = X @ np.array([3.0, -2.0, 0.5, 0.0])
    alphas, coefs, gaps = lasso_path(X, y, alphas=[2.5, 1.0, 0.25, 0.0], tol=1e-14)
    expected = np.sign(coefs[:, -1:]) * np.maximum(np.abs([[3.0], [-2], [0.5], [0]]) - alphas, 0)
    assert_allclose(coefs, expected, atol=1e-10)
    assert_array_equal(alphas, [2.5, 1.0, 0.25, 0.0])
    assert (np.abs(gaps) < 1e-10).all()
    _, coefs, _ = enet_path(X, y, l1_ratio=0.5, alphas=[2.0], tol=1e-14)
    assert_allclose(coefs[:, 0], [1.0, -0.5, 0, 0], atol=1e-10)  # (|b| - 1) / (1 + 1)
    _, coefs, _ = lasso_path(X, y, alphas=[1.0], positive=True, tol=1e-14)
    assert_allclose(coefs[:, 0], [2.0, 0, 0, 0], atol=1e-10)


def test_the_grid_begins_where_the_first_weight_does():
    X, y = made()
    for kind in (LassoCV, ElasticNetCV):
        model = kind().fit(X, y)
        ratio = getattr(model, "l1_ratio_", 1.0)
        centred = np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y)
        assert_allclose(model.alphas_, np.geomspace(1, 1e-3, 100) * centred / ratio)


def test_a_target_that_is_constant_has_no_weights():
    X, _ = made()
    model = LassoCV(cv=3).fit(X, np.full(len(X), 2.0))
    assert_array_equal(model.coef_, 0)
    assert model.intercept_ == 2 and model.alpha_ == np.finfo(float).resolution


# ---- scikit-learn's values ----


@pytest.mark.parametrize("layout", ["dense", "fortran", "csr"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(
    "kind, parameters",
    [
        ("LassoCV", {}),
        ("LassoCV", {"positive": True, "selection": "random", "random_state": 0}),
        ("ElasticNetCV", {"l1_ratio": [0.2, 0.7, 1.0]}),
        ("ElasticNetCV", {"l1_ratio": 0.5, "alphas": [0.01, 1.0, 0.1, 0.1], "cv": 3}),
    ],
)
@pytest.mark.filterwarnings("ignore:random_state")
def test_models_are_scikit_learns(kind, parameters, weighted, intercept, layout):
    X, y = made()
    if layout == "csr":
        X[np.abs(X) < 0.7] = 0
    X[:, 4] = 0.0  # constant
    X = {"dense": np.asarray, "fortran": np.asfortranarray, "csr": sparse.csr_array}[layout](X)
    weights = np.arange(len(y)) % 4 * 0.5 if weighted else None
    ours, theirs = pair(kind, X, y, weights, fit_intercept=intercept, **parameters)
    assert_same(ours, theirs)
    assert ours.dual_gap_ <= 1e-9 and ours.converged_


@pytest.mark.parametrize("precompute", [True, False, "auto"])
@pytest.mark.parametrize("shape", [(40, 90), (150, 30), (30, 30)])
@pytest.mark.parametrize("is_sparse", [True, False])
def test_products_and_columns_are_ways_to_the_same(shape, precompute, is_sparse):
    X, y = made(*shape, noise=1.0)
    if is_sparse:
        X[np.abs(X) < 1] = 0
        X = sparse.csr_array(X)
    parameters = {"precompute": precompute, "eps": 0.02, "tol": 1e-9}
    ours, theirs = pair("LassoCV", X, y, **parameters)
    assert_same(ours, theirs, rtol=1e-3 if shape[0] < shape[1] else 1e-5)


# With one column of few rows, and weights >= 0, rounding may leave a gap above this `tol`, in
# scikit-learn's fits too.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=25, deadline=None)
@example(n=6, p=1, seed=104, positive=True, intercept=False, ratio=0.1, float32=False)
@example(n=6, p=1, seed=106, positive=True, intercept=False, ratio=0.1, float32=False)
@given(
    n=st.integers(6, 40),
    p=st.integers(1, 50),
    seed=st.integers(0, 2**20),
    positive=st.booleans(),
    intercept=st.booleans(),
    ratio=st.sampled_from([0.1, 0.5, 1.0]),
    float32=st.booleans(),
)
def test_any_shape(n, p, seed, positive, intercept, ratio, float32):
    X, y = made(n, p, seed)
    X = X.astype(np.float32) if float32 else X
    parameters = {
        "positive": positive,
        "fit_intercept": intercept,
        "l1_ratio": ratio,
        "eps": 0.05,
        "cv": 3,
        "alphas": 6,
    }
    ours = ElasticNetCV(**parameters, **EXACT).fit(X, y)
    theirs = linear_model.ElasticNetCV(**parameters, **EXACT).fit(X.astype(float), y)
    assert_allclose(ours.alphas_, theirs.alphas_, rtol=1e-6)
    assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-4, atol=1e-6)
    assert ours.coef_.dtype == X.dtype
    if np.isclose(ours.alpha_, theirs.alpha_, rtol=1e-6):
        size = np.abs(theirs.coef_).max(initial=1e-3)
        assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=2e-3 * size)


@pytest.mark.parametrize("ratio", [1.0, 0.3])
@pytest.mark.parametrize("shape", [(80, 10), (20, 60)])
@pytest.mark.parametrize("is_sparse", [True, False])
@pytest.mark.parametrize("targets", [0, 1, 3])
def test_paths_are_scikit_learns(targets, is_sparse, shape, ratio):
    X, y = made(*shape)
    Y = np.column_stack([y, y[::-1], np.cos(y)])[:, :targets] if targets else y
    X = sparse.csc_array(np.where(np.abs(X) < 0.7, 0, X)) if is_sparse else X
    options = {"l1_ratio": ratio, "alphas": 8, "eps": 0.03, "return_n_iter": True, **EXACT}
    ours, theirs = enet_path(X, Y, **options), linear_model.enet_path(X, Y, **options)
    assert_allclose(ours[0], theirs[0], rtol=1e-10)
    assert ours[1].shape == theirs[1].shape
    assert_allclose(ours[1], theirs[1], atol=1e-5)
    assert ours[2].shape == theirs[2].shape
    bound = EXACT["tol"] * (Y * Y).sum() / len(Y)
    assert (ours[2] <= bound).all() and (ours[2] >= -bound).all()
    assert isinstance(ours[3], list) and len(ours[3]) == 8


def test_a_path_takes_a_gram_matrix_a_start_and_its_options(capsys):
    X, y = made()
    X, y = X - X.mean(axis=0), y - y.mean()
    options = {"alphas": [0.5, 0.1, 0.02], **EXACT}
    _, expected, _ = lasso_path(X, y, **options)
    for others in (
        {"precompute": X.T @ X},
        {"precompute": X.T @ X, "Xy": X.T @ y},
        {"precompute": False},
        {"precompute": True},
        {"coef_init": np.ones(12)},
        {"coef_init": expected[:, 1], "positive": False, "do_screening": False},
        {"sample_weight": np.ones(len(y))},
        {"copy_X": False},
    ):
        assert_allclose(lasso_path(X, y, **options, **others)[1], expected, atol=1e-9)
    assert_allclose(enet_path(X, y, l1_ratio=1, check_input=False, **options)[1], expected)
    with pytest.raises(ValueError, match="did not pass validation"):
        lasso_path(X, y, precompute=np.eye(12), **options)
    S, offset = sparse.csr_array(X + 3.0), np.full(12, 3.0)
    shifted = lasso_path(S, y, X_offset=offset, X_scale=np.ones(12), **options)[1]
    assert_allclose(shifted, expected, atol=1e-7)
    lasso_path(X, y, verbose=True, **options)
    assert "Path of 3 alphas: " in capsys.readouterr().out


def test_of_float32_a_path_is_float32():
    X, y = made()
    _, coefs, _ = lasso_path(X.astype(np.float32), y)
    assert coefs.dtype == np.float32
    assert_allclose(coefs, lasso_path(X, y)[1], atol=1e-3)


# ---- hard data ----


def far_off(X):
    return X + 1e6


def scales(X):
    return X * np.logspace(-6, 6, X.shape[1])


def outlier(X):
    return np.where(np.arange(len(X))[:, None] == 7, 1e7, 1.0) * X


def constant_in_training(X):
    """Of the last of five folds."""
    X[: len(X) * 4 // 5, 2] = 3.0
    return X


@pytest.mark.parametrize("change", [far_off, scales, outlier, constant_in_training])
@pytest.mark.parametrize("weighted", [True, False])
def test_hard_columns(change, weighted):
    X, y = made(200, 8)
    X = change(X)
    weights = np.where(np.arange(len(y)) == 11, 1e6, 1.0) if weighted else None
    ours, theirs = pair("LassoCV", X, y, weights)
    assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-5)
    assert_allclose(ours.alpha_, theirs.alpha_, rtol=1e-7)
    sizes = X.std(axis=0)
    assert_allclose(ours.coef_ * sizes, theirs.coef_ * sizes, rtol=1e-5, atol=1e-5)


def test_tall_and_wide_paths_with_many_points_are_certified():
    """Also where columns are almost dependent, and where all rows are fitted."""
    for X, y in (made(30, 200), made(100, 20)):
        X = np.cumsum(X, axis=1)
        X, y = X - X.mean(axis=0), y - y.mean()
        alphas, coefs, gaps = lasso_path(X, y, alphas=100, eps=1e-4, tol=1e-9, max_iter=20_000)
        assert (gaps <= 1e-9 * (y @ y) / len(y)).all()
        residuals = y[:, None] - X @ coefs
        slopes = np.abs(X.T @ residuals).max(axis=0) / len(y)
        assert (slopes <= alphas * (1 + 1e-2) + 1e-12).all()


def longdouble_products(X, y, weights):
    """(XX, XY) of centred columns, their standard deviations and that of y, in long doubles."""
    X, y = (np.asarray(values, dtype=np.longdouble) for values in (X, y))
    shares = weights.astype(np.longdouble) / weights.astype(np.longdouble).sum()
    for _ in range(2):  # the second time for the rounding of the first
        X, y = X - shares @ X, y - shares @ y
    sizes, size = np.sqrt(shares @ (X * X)), np.sqrt(shares @ (y * y))
    return (X.T * shares) @ X, (X.T * shares) @ y, sizes, size


def scale_by_fold(X):
    X[:, ::2] *= 10.0 ** (3 * (np.arange(len(X))[:, None] * 5 // len(X)) - 6)
    return X


def clusters(X):
    return X + 30.0 * (np.arange(len(X))[:, None] * 5 // len(X))


def far_float32(X):
    return (X + 1e4).astype(np.float32)


def random_walk(X):
    return np.cumsum(X, axis=0)


def lognormal(X):
    return np.exp(2 * X)


HARD = [far_off, outlier, constant_in_training, scale_by_fold, clusters, far_float32, random_walk,
        lognormal]  # fmt: skip


@pytest.mark.parametrize("change", HARD)
@pytest.mark.parametrize("cv", [KFold(5), LeaveOneOut(), ShuffleSplit(9, random_state=0),
                                TimeSeriesSplit(3)], ids=str)  # fmt: skip
def test_products_of_training_rows_are_those_of_the_rows(change, cv, monkeypatch):
    """To about the rounding of sums about the mean of these rows."""
    X, y = made(90, 7)
    X, y = change(X), y + 100
    folds = list(cv.split(X))
    for weights in (None, np.random.default_rng(1).uniform(0.1, 2, 90)):
        problem = path_search.Samples(X, y, weights, True).problem(1)
        trainings, tests = zip(*folds, strict=True)
        for most in (fold_products.MAX_NUMBERS, 0):  # with groups of rows, and without
            monkeypatch.setattr(fold_products, "MAX_NUMBERS", most)
            products = FoldProducts(problem, trainings, tests)
            for k in {0, len(folds) - 1, len(folds) // 2}:
                found = products.of_training(k, products.of_test(k))
                rows = trainings[k]
                s = np.ones(len(rows)) if weights is None else weights[rows]
                XX, XY, sizes, size = longdouble_products(X[rows], y[rows], s)
                varies = np.ptp(X[rows], axis=0) > 0
                assert_array_equal(found.scale > 0, varies)
                d = np.where(varies, sizes, 1)
                assert_allclose((found.XX - XX) / d / d[:, None], 0, atol=1e-14)
                assert_allclose((found.XY[:, 0] - XY) / d / size, 0, atol=1e-14)
        monkeypatch.undo()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_errors_are_exact_where_test_rows_are_far_from_the_others():
    """Products about a common centre would have relative errors of 1e-5."""
    rng = np.random.default_rng(0)
    X, fold = rng.standard_normal((500, 6)), np.arange(500)[:, None] // 100
    X += 300.0 * fold * np.sign(np.arange(6) - 2.5)
    y = 0.01 * rng.standard_normal(500) + X.sum(axis=1)
    errors = [
        LassoCV(alphas=[1e-2, 1e-3, 1e-4], precompute=precompute, tol=1e-12, max_iter=20_000)
        .fit(X, y)
        .mse_path_
        for precompute in (True, False)
    ]
    assert_allclose(*errors, rtol=1e-6)


def test_the_centre_of_weighted_rows_is_not_that_of_one_row():
    """Unless it has half of the weight."""
    X, y = made(300, 5)
    X[7] = 1e3
    everything = np.arange(300)
    for weight, is_heavy in ((100.0, False), (1e4, True)):
        weights = np.ones(300)
        weights[7] = weight
        rows = path_search.Samples(X, y, weights, True).problem(1).rows
        center = rough_center(rows, everything, weights)
        assert ((center == 1e3) == is_heavy).all()


def test_folds_with_repeated_rows_have_sums_of_their_own():
    X, y = made(60, 4)
    rows = np.random.default_rng(0).integers(0, 40, 50)
    products = FoldProducts(path_search.Samples(X, y, None, True).problem(1), [rows], [rows])
    expected = np.cov(X[rows].T, bias=True)
    assert_allclose(products.of_training(0).XX, expected)
    assert_allclose(products.of_test(0).products().XX, expected)


# ---- cv ----

SPLITTERS = [
    None,
    3,
    KFold(4, shuffle=True, random_state=0),
    ShuffleSplit(3, random_state=0),
    TimeSeriesSplit(3),
    [(np.arange(60), np.arange(60, 120)), (np.arange(100), np.arange(20))],
    [(np.arange(120) < 80, np.arange(120) >= 80)],
]


@pytest.mark.parametrize("cv", SPLITTERS, ids=str)
@pytest.mark.parametrize("precompute", [True, False])
def test_any_splitter(cv, precompute):
    X, y = made()
    assert_same(*pair("LassoCV", X, y, np.arange(120) % 3 + 0.5, cv=cv, precompute=precompute))


def test_leave_one_out_and_generators():
    X, y = made(40, 5)
    assert_same(*pair("LassoCV", X, y, cv=LeaveOneOut()), rtol=1e-5)
    listed = LassoCV(cv=list(KFold(3).split(X))).fit(X, y)
    assert_array_equal(LassoCV(cv=KFold(3).split(X)).fit(X, y).mse_path_, listed.mse_path_)


def test_groups_are_routed_to_the_splitter():
    X, y = made()
    groups = np.arange(len(y)) % 7
    with pytest.raises(ValueError, match=r"only supported if enable_metadata_routing=True"):
        LassoCV().fit(X, y, groups=groups)
    with config_context(enable_metadata_routing=True):
        models = [
            home.LassoCV(cv=GroupKFold(3), alphas=20, **EXACT).fit(X, y, groups=groups)
            for home in (fastgd, linear_model)
        ]
        assert_same(*models)
        assert "splitter" in str(models[0].get_metadata_routing())


def test_a_fold_of_zero_weight_is_refused_in_numpys_words():
    """Of a fold without weight to train on scikit-learn says that the input contains NaN."""
    X, y = made(60)
    for weights, homes in (
        (np.arange(60) >= 12, (fastgd, linear_model)),
        (np.arange(60) < 12, (fastgd,)),
    ):
        for home in homes:
            with (
                pytest.raises(ZeroDivisionError, match="Weights sum to zero"),
                np.errstate(all="ignore"),
            ):
                home.LassoCV().fit(X, y, sample_weight=weights.astype(float))


# ---- refusals ----


@pytest.mark.parametrize("alphas", [[-1.0, 1.0], ["a"], 0, -3, "many", [1.0, None]])
@pytest.mark.parametrize("kind", ["LassoCV", "ElasticNetCV"])
def test_refused_alphas_in_scikit_learns_words(kind, alphas):
    X, y = made()
    texts = []
    for home in (fastgd, linear_model):
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(home, kind)(alphas=alphas).fit(X, y)
        texts.append((str(caught.value), type(caught.value)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("alphas", [[], [np.nan, 1.0], [np.inf, 1.0]])
def test_refused_alphas_of_which_scikit_learn_says_nothing_clear(alphas):
    X, y = made()
    with pytest.raises(ValueError, match="alphas.* must "):
        LassoCV(alphas=alphas).fit(X, y)
    if alphas:
        with pytest.raises(ValueError, match="alphas must be finite"):
            lasso_path(X, y, alphas=alphas)


def test_unsorted_and_repeated_alphas_are_sorted():
    X, y = made()
    model = LassoCV(alphas=[0.1, 1.0, 0.1, 0.01]).fit(X, y)
    assert_array_equal(model.alphas_, [1.0, 0.1, 0.1, 0.01])
    assert_array_equal(model.mse_path_[1], model.mse_path_[2])
    alphas, coefs, _ = lasso_path(X, y, alphas=[0.1, 1.0, 0.1])
    assert_array_equal(alphas, [1.0, 0.1, 0.1])
    assert_array_equal(coefs[:, 1], coefs[:, 2])
    assert lasso_path(X, y, alphas=[])[1].shape == (12, 0)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"l1_ratio": 0.0}, "Automatic alpha grid generation is not supported"),
        ({"l1_ratio": [0.5, 2.0]}, r"l1_ratio.* range \[0, 1\]"),
        ({"cv": []}, "cv gives no folds"),
        ({"cv": [([], [0, 1])]}, "fold without rows"),
        ({"cv": 1}, "The 'cv' parameter of ElasticNetCV must be"),
    ],
)
def test_other_refusals(parameters, message):
    X, y = made()
    with pytest.raises(ValueError, match=message):
        ElasticNetCV(**parameters).fit(X, y)


def test_several_targets_are_refused_in_scikit_learns_words():
    X, y = made()
    for kind in ("LassoCV", "ElasticNetCV"):
        for home in (fastgd, linear_model):
            with pytest.raises(ValueError, match=f"^For multi-task outputs, use MultiTask{kind}$"):
                getattr(home, kind)().fit(X, np.column_stack([y, y]))
        with pytest.warns(UserWarning, match="column-vector y was passed"):
            model = getattr(fastgd, kind)(cv=3).fit(X, y[:, None])
        assert model.coef_.shape == (12,) and np.ndim(model.intercept_) == 0


def test_refusals_of_paths():
    X, y = made()
    for home in (fastgd, linear_model):
        with pytest.raises(ValueError, match="positive=True is not allowed for multi-output"):
            home.lasso_path(X, np.column_stack([y, y]), positive=True, alphas=3)
        with pytest.raises(ValueError, match="Unexpected parameters in params"):
            home.lasso_path(X, y, alphas=3, max_seconds=1)
        with pytest.raises(ValueError, match="selection should be either random or cyclic"):
            home.lasso_path(X, y, alphas=3, selection="any")
        with pytest.warns(FutureWarning, match="'n_alphas' was deprecated"):
            assert len(home.lasso_path(X, y, n_alphas=4)[0]) == 4
        with pytest.warns(FutureWarning, match="'alphas=None' is deprecated"):
            assert len(home.enet_path(X, y, alphas=None)[0]) == 100
    with pytest.raises(ValueError, match="alphas must be finite numbers >= 0"):
        lasso_path(X, y, alphas=[-1.0])
    with pytest.raises(ValueError, match="coef_init has shape"):
        lasso_path(X, y, alphas=3, coef_init=np.zeros(3))


def test_chunks_are_refused_and_a_gram_matrix_is_commented_on():
    X, y = made()
    with pytest.raises(TypeError, match="LassoCV needs X in memory"):
        LassoCV().fit(Chunks.of(X, y), y)
    for home in (fastgd, linear_model):
        with pytest.warns(UserWarning, match="Gram matrix was provided but X was centered"):
            home.LassoCV(precompute=X.T @ X).fit(X, y)
        with pytest.raises(ValueError, match="did not pass validation"):
            home.LassoCV(precompute=X.T @ X, fit_intercept=False).fit(X, y)


def test_too_few_sweeps_are_one_warning():
    X, y = made(60, 30)
    with pytest.warns(ConvergenceWarning, match="Objective did not converge.*of 500 fits") as told:
        LassoCV(max_iter=1, tol=1e-10).fit(np.cumsum(X, axis=1), y)
    assert sum("Objective" in str(one.message) for one in told) == 1
    assert told[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="Objective did not converge"):
        lasso_path(np.cumsum(X, axis=1), y, max_iter=1, tol=1e-10)


def test_numbers_that_overflow_are_an_error():
    X, y = made()
    with pytest.raises(ValueError, match="non-finite"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LassoCV().fit(X * 1e200, y)
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        lasso_path(X * 1e200, y, alphas=[1.0])


# ---- the model ----


@pytest.mark.parametrize("shape", [(300, 12), (40, 90)])
def test_the_number_of_threads_changes_no_bit(shape):
    X, y = made(*shape)
    models = [
        ElasticNetCV(l1_ratio=[0.3, 1.0], n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2, 3, None)
    ]
    for model in models[1:]:
        assert_array_equal(model.mse_path_, models[0].mse_path_)
        assert_array_equal(model.coef_, models[0].coef_)
        assert model.alpha_ == models[0].alpha_


@pytest.mark.parametrize("shape", [(300, 12), (40, 90)])
def test_it_is_the_lasso_with_the_chosen_penalty(shape):
    X, y = made(*shape)
    model = LassoCV(tol=1e-8, max_iter=10_000).fit(X, y)
    plain = Lasso(model.alpha_, tol=1e-10, max_iter=10_000).fit(X, y)
    assert_allclose(model.coef_, plain.coef_, atol=1e-4)
    assert model.n_iter_ == len(model.history_["loss"]) and model.stop_reason_ == "tol"
    assert_array_equal(model.sparse_coef_.toarray()[0], model.coef_)
    ridge = ElasticNetCV(l1_ratio=0, alphas=[0.1, 0.2], tol=1e-10).fit(X, y)
    plain = ElasticNet(ridge.alpha_, l1_ratio=0, tol=1e-10).fit(X, y)
    assert_allclose(ridge.coef_, plain.coef_, atol=1e-5)


def test_a_failed_fit_leaves_the_earlier_one():
    X, y = made()
    model = LassoCV().fit(X, y)
    coef, alpha = model.coef_, model.alpha_
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(X > 1, np.nan, X), y)
    assert model.coef_ is coef and model.alpha_ == alpha


def test_ctrl_c_ends_it_soon():
    X, y = made(300, 2500, noise=3.0)
    model = LassoCV(eps=1e-6, alphas=3000, tol=1e-13, max_iter=10**6, n_jobs=2)
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    begin = time.perf_counter()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    finally:
        timer.cancel()
    assert time.perf_counter() - begin < 5
    assert not hasattr(model, "alpha_")


# ---- the path itself ----


def test_a_path_can_be_begun_anywhere():
    X, y = made(80, 9)
    data = PathData.of_dense(X, y[:, None], np.full(80, 1 / 80), True)
    l1 = np.geomspace(1, 1e-2, 7) * data.largest_l1(False)
    exact = PathSettings(1e-12, 1000)
    points = data.descend(l1, 0 * l1, exact)
    start = np.random.default_rng(0).standard_normal((9, 1))
    again = data.descend(l1[::-1], 0 * l1, exact, start)
    assert_allclose(again.coefs[::-1], points.coefs, atol=1e-9)
    assert not len(points.unfinished) and points.coefs[0].tolist() == [0] * 9
    stopped = data.descend(l1, 0 * l1, exact, stop=np.ones(1, np.int32))
    assert len(stopped.unfinished)


def test_mismatched_arrays_are_refused():
    X, y = made(20, 3)
    data = PathData.of_dense(X, y[:, None], np.full(20, 1 / 20), True)
    for name, wrong in (
        ("squares", np.ones(2)),
        ("y_products", np.ones((4, 1))),
        ("columns", (np.ones((3, 19)), np.ones((1, 20)))),
        ("columns", (np.ones((2, 3)), None)),
    ):
        broken = PathData(**{**vars(data), name: wrong})
        with pytest.raises(ValueError):
            broken.descend([0.1], [0.0], PathSettings())
