"""Vowpal Wabbit: passes over its own binary cache, in float32, on one thread and another to parse.

`epochs` takes plain steps (--sgd) at the constant rate; the text and the cache are made beforehand.
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


def epochs(problem, X, y, shuffle, threads):
    if threads > 1 or problem.batch_size != 1 or problem.average or problem.unit != "epoch":
        raise UnsupportedError("has only epochs by rows, on one thread, without averages")
    t, nonzeros = targets(problem.loss, y), X.nnz if issparse(X) else np.count_nonzero(X)
    if t.shape[1] > 1 or problem.loss not in LOSSES or nonzeros > MAX_NONZEROS:
        raise UnsupportedError(f"is given one output and at most {MAX_NONZEROS} nonzeros")
    if shuffle:
        raise UnsupportedError("takes the rows in order only")
    folder = tempfile.TemporaryDirectory()  # it lives as long as `train`
    rate, l1, l2 = problem.rate, problem.l1, problem.l2
    if problem.loss == "squared_error":  # VW's slope is twice ours: half the rate is the same step
        rate, l1, l2 = rate / 2, 2 * l1, 2 * l2
    steps = f"--sgd --power_t 0 -l {rate} --l1 {l1} --l2 {l2} --holdout_off"
    text = _write(folder.name, csr_array(X), t[:, 0])

    def train(epochs):
        options = f"{steps} --cache_file {Path(folder.name, 'cache')} --passes {epochs}"
        coef, intercept = _train(problem, text, X.shape[1], options)
        return coef[None], np.array([intercept])

    return train


def one_pass(problem, X, t):
    """One pass over the rows in order, by VW's default rule and rate."""
    if problem.loss not in LOSSES:
        raise UnsupportedError(f"has no loss {problem.loss}")
    with tempfile.TemporaryDirectory() as folder:
        return _train(problem, _write(folder, csr_array(X), t), X.shape[1], "")


def _train(problem, text, columns, options):
    bits = max(18, int(columns).bit_length())
    loss = f"--loss_function {LOSSES[problem.loss]}"
    model = Workspace(f"--quiet --no_stdin {loss} -b {bits} -d {text} {options}")
    coef = np.array([model.get_weight(j, 0) for j in range(columns)])
    intercept = model.get_weight(INTERCEPT % 2**bits, 0)
    model.finish()
    return coef, intercept


def _write(folder, X, t):
    """The path of a file with the rows as VW reads them."""
    path, ends = Path(folder, "rows"), X.indptr.tolist()
    with path.open("w") as file:
        for i, label in enumerate(t.tolist()):
            row = slice(ends[i], ends[i + 1])
            pairs = zip(X.indices[row].tolist(), X.data[row].tolist(), strict=True)
            file.write(f"{label:g} | {' '.join([f'{j}:{value:.8g}' for j, value in pairs])}\n")
    return path
