"""Costs for `fastgd.minimize`, and log_loss as a user's own compiled function."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import rosen, rosen_der
from threadpoolctl import threadpool_limits

from bench import data

SOURCE = """
#include <math.h>
#include <stdint.h>
void loss(const double *restrict z, const double *restrict y, double *restrict value,
          double *restrict slope, intptr_t n, void *data) {
    for (intptr_t i = 0; i < n; i++) {
        double m = y[i] * z[i], e = exp(-fabs(m));
        value[i] = log1p(e) + fmax(-m, 0.0);
        slope[i] = -y[i] * (m > 0 ? e : 1.0) / (1.0 + e);
    }
}
"""
# -ffast-math: exp and log1p of several numbers at once, where the C library has them
FLAGS = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]


@threadpool_limits.wrap(limits=1)
def cost(name, n, source):
    """(x -> (value, gradient), start); of n numbers, or the weights of the data set `source`."""
    if name == "rosenbrock":
        return lambda x: (rosen(x), rosen_der(x)), np.tile([-1.2, 1.0], n // 2)
    if name in ("quadratic", "rotated"):  # condition number 1e6
        rng, h = np.random.default_rng(0), np.logspace(0, 6, n)
        if name == "quadratic":
            return lambda x: (x @ (h * x) / 2, h * x), np.ones(n)
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        H = (Q * h) @ Q.T
        return lambda x: (x @ H @ x / 2, H @ x), rng.standard_normal(n)
    X, y = data.load(source)
    X, t = np.column_stack([X, np.ones(len(X))]), 2.0 * y - 1

    def logistic(w):
        m = t * (X @ w)
        slopes = t / (1 + np.exp(np.minimum(m, 500)))
        return np.logaddexp(0, -m).mean() + 5e-5 * (w @ w), -X.T @ slopes / len(t) + 1e-4 * w

    return logistic, np.zeros(X.shape[1])


def numba_loss():
    """A numba.cfunc of one margin."""
    from numba import cfunc, types

    number = types.CPointer(types.double)

    @cfunc(types.void(types.double, types.double, number, number, types.voidptr))
    def loss(z, y, value, slope, data):
        e = np.exp(-abs(y * z))
        value[0] = np.log1p(e) + max(-y * z, 0.0)
        slope[0] = -y * (e if y * z > 0 else 1.0) / (1.0 + e)

    return loss


def c_loss():
    """A C function of many margins."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise ImportError("there is no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "loss.so")
        command = [compiler, *FLAGS, "-x", "c", "-", "-o", library, "-lm"]
        subprocess.run(command, input=SOURCE, text=True, check=True)
        loss = ctypes.CDLL(library).loss
    number = ctypes.POINTER(ctypes.c_double)
    loss.argtypes, loss.restype = [number] * 4 + [ctypes.c_ssize_t, ctypes.c_void_p], None
    return loss


CUSTOM_LOSSES = {"numba": numba_loss, "c": c_loss}
