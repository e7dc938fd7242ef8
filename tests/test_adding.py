"""docs/adding.md works when it is followed to the letter: its edits are made in a copy of the
sources, the copy is built, and trains with what has been added.

The build takes a minute, so it waits to be asked for: FASTGD_TEST_ADDING=1, which `make test` sets,
or CI. That every edit has its place is looked at always.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adding.md"
COPIED = "fastgd", "tests", "build", "setup.py", "pyproject.toml", "conftest.py", "README.md"

EDIT = re.compile(
    r"^In (?:a new file )?`(?P<file>[^`\n]+)`"
    r"(?:, in `(?P<scope>[^`\n]+)`)?"
    r"(?:, (?P<place>before|after|replace) `(?P<anchor>[^`\n]+)`(?: by)?"
    r"|, at the end of `(?P<end>[^`\n]+)`)?:\n\n```(?:py|cython)\n(?P<block>.*?)```",
    re.M | re.S,
)

pytestmark = pytest.mark.skipif(
    not (PAGE.exists() and (ROOT / "setup.py").exists()), reason="the sources are not here"
)


def edits():
    """The page's edits, in order."""
    return list(EDIT.finditer(PAGE.read_text())) if PAGE.exists() else []


def extent(lines, name):
    """(first, end) of the definition of a name: it goes on as long as lines are indented."""
    begins = re.compile(rf"((cp?def|def|class)\b.*\b)?{name}(\(|:| = )")
    starts = [i for i, line in enumerate(lines) if begins.match(line)]
    assert len(starts) == 1, f"{name} is defined {len(starts)} times"
    end = starts[0] + 1
    while end < len(lines) and re.match(r"\s|[)\]}]|$", lines[end]):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return starts[0], end


def edited(text, edit):
    """The text of a file after an edit."""
    lines, block = text.split("\n"), edit["block"].rstrip("\n").split("\n")
    if edit["end"]:
        _, end = extent(lines, edit["end"])
        return "\n".join([*lines[:end], *block, *lines[end:]])
    begin, end = extent(lines, edit["scope"]) if edit["scope"] else (0, len(lines))
    places = [i for i in range(begin, end) if lines[i].strip().startswith(edit["anchor"])]
    assert len(places) == 1, f"{edit['anchor']!r} begins {len(places)} lines"
    at = places[0]
    if edit["place"] == "replace":
        return "\n".join([*lines[:at], *block, *lines[at + 1 :]])
    if not block[0].startswith((" ", "@")) and len(block) > 1:
        block = [*block, "", ""]
    at += edit["place"] == "after"
    return "\n".join([*lines[:at], *block, *lines[at:]])


def follow(root):
    """Make the page's edits in the sources at `root`; returns the files that they are in."""
    for edit in edits():
        path = root / edit["file"]
        is_new = not (edit["anchor"] or edit["end"])
        assert is_new != path.exists(), edit["file"]
        path.write_text(edit["block"] if is_new else edited(path.read_text(), edit))
    return [edit["file"] for edit in edits()]


def copy_of_sources(root, names=COPIED):
    """A copy with the times of the files, so that what has not been edited is not built again."""
    for name in names:
        if (ROOT / name).is_dir():
            unneeded = shutil.ignore_patterns(
                "__pycache__", "_avx2", "*checked*", "wheel*", "docs", "temp.*"
            )
            shutil.copytree(ROOT / name, root / name, ignore=unneeded)
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, root / name)
    return root


def has_compiler():
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cl")
    return bool(shutil.which(compiler[0]) and importlib.util.find_spec("Cython"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A function that runs a command in a built copy in which the page has been followed."""
    if os.environ.get("FASTGD_TEST_ADDING", "0") == "0" and not os.environ.get("CI"):
        pytest.skip("it takes a minute: set FASTGD_TEST_ADDING=1")
    if not has_compiler():
        pytest.skip("there is no C compiler, or no Cython")
    root = copy_of_sources(tmp_path_factory.mktemp("adding"))
    follow(root)

    def run(*command):
        environment = os.environ | {
            "PYTHONPATH": str(root),
            "FASTGD_AVX2": "0",
            "FASTGD_ISA": "baseline",
            "FASTGD_TEST_ADDING": "0",
            "CI": "",
        }
        done = subprocess.run(
            [sys.executable, *command],
            cwd=root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    run("setup.py", "build_ext", "--inplace")
    return run


# ---- the page ----


def test_every_block_says_where_it_goes():
    text = PAGE.read_text()
    assert len(edits()) == len(re.findall(r"^```(?:py|cython)$", text, re.M))


def test_every_edit_has_its_place(tmp_path):
    files = follow(copy_of_sources(tmp_path, ["fastgd", "tests"]))
    for name in files:
        if name.endswith(".py"):
            compile((tmp_path / name).read_text(), name, "exec")


def test_a_loss_is_three_files():
    part = re.search(r"^## A loss\n.*?^## ", PAGE.read_text(), re.M | re.S)[0]
    assert {edit["file"] for edit in EDIT.finditer(part)} == {
        "fastgd/kernels/losses.pxd",
        "fastgd/problem/losses.py",
        "tests/reference.py",
    }


# ---- what they make ----


def test_the_loss_reaches_the_minimum(copy):
    """For every batch size and penalty, dense and sparse, in one fit and as a stream."""
    copy("-c", LOSS)


def test_the_rule_reaches_the_minimum(copy):
    copy("-c", RULE)


def test_the_method_reaches_the_minimum(copy):
    copy("-c", METHOD)


def test_the_tests_try_what_is_added(copy):
    """The other tests find the loss and the rule by their twins."""
    files = (
        "losses rules duality metric auto_stochastic batch stochastic sgd positive house".split()
    )
    names = "pseudo_huber or adamax or test_house"
    paths = [f"tests/test_{name}.py" for name in files]
    done = copy("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", names, *paths)
    passed = int(re.search(r"(\d+) passed", done)[1])
    assert passed > 100, done[-2000:]


PROBLEM = """
import warnings
from itertools import product
import numpy as np
from scipy import sparse
from scipy.optimize import minimize

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 4)) * [1, 3, 0.3, 1] + [0, 5, 0, 0]
signal = X @ [1, -0.5, 3, 0] + 1

def least(loss, y, l1, l2):
    "The minimum by SciPy: w = u - v, u and v >= 0, has the L1 norm sum(u + v)."
    n, p = X.shape
    def value_and_gradient(theta):
        w, b = theta[:p] - theta[p:-1], theta[-1]
        value, slope = loss(X @ w + b, y)
        g = X.T @ slope / n + l2 * w
        value = value.mean() + l1 * theta[:-1].sum() + l2 / 2 * w @ w
        return value, np.concatenate([g + l1, l1 - g, [slope.mean()]])
    bounds = [(0, None)] * (2 * p) + [(None, None)]
    options = {"maxiter": 10000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9}
    return minimize(
        value_and_gradient, np.zeros(2 * p + 1), jac=True, bounds=bounds, options=options
    ).fun

def objective(model, loss, y, l1, l2):
    w = np.ravel(model.coef_).astype(float)
    value = loss(X @ w + model.intercept_, y)[0].mean()
    return value + l1 * np.abs(w).sum() + l2 / 2 * w @ w
"""

LOSS = f"""{PROBLEM}
from fastgd import SGDRegressor

def loss(z, y):
    root = np.sqrt(1 + (z - y) ** 2)
    return root - 1, (z - y) / root

warnings.simplefilter("error")
y = signal + rng.standard_t(2, len(X))
constant = min(loss(b, y)[0].mean() for b in np.linspace(y.min(), y.max(), 10001))
for penalty, l1, l2 in (("l2", 0, 0.03), ("l1", 0.03, 0), ("elasticnet", 0.015, 0.015)):
    minimum = least(loss, y, l1, l2)
    settings = dict(penalty=penalty, alpha=0.03, l1_ratio=0.5, random_state=0)
    for batch_size, layout in product((1, 32, "full"), (np.asarray, sparse.csr_array)):
        model = SGDRegressor("pseudo_huber", batch_size=batch_size, tol=1e-5, **settings)
        model.fit(layout(X), y)
        distance = (objective(model, loss, y, l1, l2) - minimum) / (constant - minimum)
        case = penalty, batch_size, layout, distance, model.optimality_, model.optimality_kind_
        assert model.converged_ and model.optimality_ <= 1e-5, case
        assert -1e-9 <= distance <= 2e-5, case
    for layout in (np.asarray, sparse.csr_array):
        model = SGDRegressor("pseudo_huber", **settings)
        for _ in range(20):
            for begin in range(0, len(X), 50):
                rows = slice(begin, begin + 50)
                model.partial_fit(layout(X[rows]), y[rows])
        distance = (objective(model, loss, y, l1, l2) - minimum) / (constant - minimum)
        assert distance <= 0.1, (penalty, layout, distance)
for settings in (
    dict(learning_rate="lipschitz", batch_size="full", max_iter=10000, tol=1e-7),
    dict(optimizer="adam", batch_size=20, learning_rate="cosine", eta0=0.1, max_iter=300, tol=None),
):
    model = SGDRegressor("pseudo_huber", alpha=0.03, random_state=0, **settings).fit(X, y)
    distance = (objective(model, loss, y, 0, 0.03) - least(loss, y, 0, 0.03)) / constant
    assert distance <= 1e-3, (settings, distance)
"""

RULE = f"""{PROBLEM}
import fastgd
from fastgd import AdaMax, SGDRegressor
from fastgd.kernels import rules

target = np.linspace(-1, 1, 5)
theta, first, second = np.zeros((3, 5))
for t in range(1, 3000):
    rules.step(AdaMax().codes, theta, theta - target, first, second, 0.5 / np.sqrt(t), t)
assert np.abs(theta - target).max() < 1e-3, theta
bowl = lambda x: ((x - target) ** 2).sum()
found = fastgd.minimize(bowl, np.zeros(5), lambda x: 2 * (x - target), method=AdaMax(beta1=0.8))
assert found.success and np.abs(found.x - target).max() < 1e-4, found.message

loss = lambda z, y: ((z - y) ** 2 / 2, z - y)
y = signal + rng.standard_normal(len(X))
for optimizer in ("adamax", AdaMax(beta2=0.99)):
    model = SGDRegressor(
        optimizer=optimizer, alpha=0.03, batch_size=20, learning_rate="cosine", eta0=0.1,
        max_iter=300, tol=None, random_state=0,
    ).fit(X, y)
    distance = objective(model, loss, y, 0, 0.03) / least(loss, y, 0, 0.03) - 1
    assert 0 <= distance < 1e-3, distance
"""

METHOD = f"""{PROBLEM}
from fastgd import SGDClassifier

def loss(z, y):
    return np.logaddexp(0, -y * z), -y / (1 + np.exp(y * z))

y = np.where(signal + 2 * rng.standard_normal(len(X)) > 0, 1, -1)
for penalty, l1, l2 in (("l2", 0, 0.03), ("l1", 0.03, 0)):
    minimum = least(loss, y, l1, l2)
    for layout in (np.asarray, sparse.csr_array):
        settings = dict(
            loss="log_loss", penalty=penalty, alpha=0.03, learning_rate="backtracking",
            batch_size="full", tol=1e-9,
        )
        model = SGDClassifier(max_iter=3000, **settings).fit(layout(X), y)
        distance = objective(model, loss, y, l1, l2) - minimum
        assert model.stop_reason_ in ("plateau", "gradient"), model.stop_reason_
        assert 0 <= distance + 1e-12 <= 1e-5, (penalty, layout, distance)
        assert (np.diff(model.history_["loss"]) <= 0).all()
    once = SGDClassifier(max_iter=20, **settings | dict(tol=None)).fit(X, y)
    twice = SGDClassifier(max_iter=10, warm_start=True, **settings | dict(tol=None)).fit(X, y)
    assert (twice.fit(X, y).coef_ == once.coef_).all()  # by `position` and `resume`
try:
    SGDClassifier(learning_rate="backtracking", batch_size=1).fit(X, y)
except ValueError as error:
    assert "batch_size" in str(error)
else:
    raise AssertionError("a batch size of 1 is not refused")
"""
