"""Peak memory of a fit beyond its data, in a fresh process: ``python -m bench.memory FOLDER``.

Linux only: elsewhere a process cannot forget its peak so far.
"""

import ctypes
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, issparse
from threadpoolctl import threadpool_limits

from bench import peers

ROOT = Path(__file__).parent.parent
FORGET_PEAK = Path("/proc/self/clear_refs")
WARM_UP_ROWS = 64


def limit(size, rows, coefficients):
    """The peak fastgd may have: 2 % of X, 48 bytes a row and O(columns), 64 bytes a coefficient."""
    return size // 50 + 48 * rows + 64 * coefficients


def store(X, y, folder):
    """Files from which another process reads the data, with no copy left in its memory."""
    names = ("data", "indices", "indptr", "shape")
    parts = {name: getattr(X, name) for name in names} if issparse(X) else {"X": X}
    for name, array in (parts | {"y": y}).items():
        np.save(Path(folder, f"{name}.npy"), array)


def peak_over_data(folder, *task):
    """Bytes by which a process grows, at most, in (problem, peer, shuffle, threads) `task`."""
    Path(folder, "task").write_bytes(pickle.dumps(task))
    command = [sys.executable, "-m", "bench.memory", folder]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if child.returncode:
        raise RuntimeError(f"the process that measures the memory failed:\n{child.stderr}")
    return json.loads(child.stdout.splitlines()[-1])  # a peer may print too


def measure(folder):
    problem, peer, shuffle, threads = pickle.loads(Path(folder, "task").read_bytes())
    parts = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
    prepare = peers.load("epochs", [peer])[0][peer]
    y, X = parts.pop("y"), parts.pop("X", None)
    if X is None:
        csr = (parts["data"], parts["indices"], parts["indptr"])
        X = csr_array(csr, shape=tuple(parts["shape"]))
    with threadpool_limits(threads):
        # a small fit first, so that imports and thread pools are not counted
        prepare(problem, X[:WARM_UP_ROWS], y[:WARM_UP_ROWS], shuffle, threads)(1)
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)  # else the fit may use memory that the imports have freed
        FORGET_PEAK.write_text("5")
        before = _status("VmRSS")
        prepare(problem, X, y, shuffle, threads)(2)
    return _status("VmHWM") - before


def _status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
