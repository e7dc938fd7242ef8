"""Vowpal Wabbit: one pass over rows of text, by its default rule and rate."""

import tempfile
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from vowpalwabbit import Workspace

from bench.peers import UnsupportedError

LOSSES = {"squared_error": "squared", "log_loss": "logistic", "hinge": "hinge"}
INTERCEPT = 11650396  # where VW keeps it, before the number is cut to its last bits


def one_pass(problem, X, t):
    if problem.loss not in LOSSES:
        raise UnsupportedError(f"has no loss {problem.loss}")
    rows, columns = csr_array(X), X.shape[1]
    bits, ends = max(18, columns.bit_length()), rows.indptr.tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        with path.open("w") as file:
            for i, label in enumerate(t.tolist()):
                row = slice(ends[i], ends[i + 1])
                pairs = zip(rows.indices[row].tolist(), rows.data[row].tolist(), strict=True)
                file.write(f"{label:g} | {' '.join([f'{j}:{value:.8g}' for j, value in pairs])}\n")
        options = f"--loss_function {LOSSES[problem.loss]} -b {bits} -d {path}"
        model = Workspace(f"--quiet --no_stdin {options}")
    coef = np.array([model.get_weight(j, 0) for j in range(columns)])
    intercept = model.get_weight(INTERCEPT % 2**bits, 0)
    model.finish()
    return coef, intercept
