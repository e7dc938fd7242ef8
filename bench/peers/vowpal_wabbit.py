"""Vowpal Wabbit: passes over its own binary cache, plain steps (--sgd) at the constant rate, float32.

The text and the cache are made beforehand; a pass reads the cache, and a second thread parses it ahead.
"""

import tempfile
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, issparse
from vowpalwabbit import Workspace

from bench.objective import targets
from bench.peers import UnsupportedError

LOSSES = {"squared_error": "squared", "log_loss": "logistic", "hinge": "hinge"}
INTERCEPT = 11650396  # where VW keeps it, before the number is cut to its last bits
MAX_NONZEROS = 2 * 10**7  # the text of more would take minutes to write


def prepare(problem, X, y, shuffle, threads):
    if threads > 1 or problem.batch_size != 1 or problem.average or problem.unit != "epoch":
        raise UnsupportedError("has only epochs of one row a step, on one thread, without averages")
    t, nonzeros = targets(problem, y), X.nnz if issparse(X) else np.count_nonzero(X)
    if t.shape[1] > 1 or problem.loss not in LOSSES or nonzeros > MAX_NONZEROS:
        raise UnsupportedError(f"is given one output and at most {MAX_NONZEROS} nonzeros")
    if shuffle:
        raise UnsupportedError("takes the rows in order only")
    folder = tempfile.TemporaryDirectory()  # goes when `train` does
    text = Path(folder.name, "rows")
    _write(text, csr_array(X), t[:, 0])
    bits = max(18, int(X.shape[1]).bit_length())
    # VW doubles the slope of the squared error, so that half the rate makes the same step
    rate, l1, l2 = problem.rate, problem.l1, problem.l2
    if problem.loss == "squared_error":
        rate, l1, l2 = rate / 2, 2 * l1, 2 * l2
    settings = (f"--quiet --sgd --power_t 0 -l {rate} --l1 {l1} --l2 {l2} --loss_function {LOSSES[problem.loss]} -b {bits} "
                f"--holdout_off --no_stdin -d {text}")  # fmt: skip

    def train(epochs):
        model = Workspace(f"{settings} --cache_file {Path(folder.name, 'cache')} --passes {epochs}")
        coef = np.array([model.get_weight(j, 0) for j in range(X.shape[1])])
        intercept = model.get_weight(INTERCEPT % 2**bits, 0)
        model.finish()
        return coef[None], np.array([intercept])

    return train


def _write(path, X, t):
    ends = X.indptr.tolist()
    with path.open("w") as file:
        for i, label in enumerate(t.tolist()):
            row = slice(ends[i], ends[i + 1])
            pairs = zip(X.indices[row].tolist(), X.data[row].tolist(), strict=True)
            file.write(f"{label:g} | {' '.join([f'{j}:{value:.8g}' for j, value in pairs])}\n")


def stream(loss, X, t):
    """(coef, intercept) after one pass over the rows in order, by VW's own default rule and rate."""
    if loss not in LOSSES:
        raise UnsupportedError(f"has no loss {loss}")
    bits = max(18, int(X.shape[1]).bit_length())
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "rows")
        _write(text, csr_array(X), t)
        model = Workspace(f"--quiet --no_stdin --loss_function {LOSSES[loss]} -b {bits} -d {text}")
        coef = np.array([model.get_weight(j, 0) for j in range(X.shape[1])])
        intercept = model.get_weight(INTERCEPT % 2**bits, 0)
        model.finish()
    return coef, intercept
