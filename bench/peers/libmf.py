"""LIBMF: L2 loss with its own rates and penalty."""

import contextlib
import io

import numpy as np

with contextlib.redirect_stdout(io.StringIO()):
    from libmf import mf


def factorization(ratings, factors, threads):
    table = np.ascontiguousarray(ratings, dtype=np.float32)

    def train(epochs):
        model = mf.MF(k=factors, nr_iters=epochs, nr_threads=threads, quiet=True)
        model.fit(table)
        return lambda pairs: model.predict(np.ascontiguousarray(pairs[:, :2], dtype=np.float32))

    return train
