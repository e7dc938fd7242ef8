"""What this machine can do at most: bytes read from memory and multiply-adds, in the same run.

A fit that does `operations` on `size` bytes cannot be faster than `least_seconds`. Reading is timed
on as many bytes as X has: a last cache may be as large as X, and shared with others, so its size
tells little.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

from bench.machine import cache_size
from bench.timing import seconds

MAX_BYTES, QUICK_BYTES = 2**30, 2**26  # most bytes to read
ORDER = 1024  # of the matrices multiplied
ROUNDS = 5  # of which the fastest counts
READERS = (np.sum, np.max, lambda part: np.dot(part, part))  # all release the GIL


@cache
def bandwidth(size, threads):
    """Bytes a second, by the fastest reader, each thread on a part of its own."""
    parts, times = np.array_split(np.ones(max(size // 8, 1)), threads), []
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for read in READERS:
            for _ in range(ROUNDS):
                times.append(seconds(lambda read=read: list(pool.map(read, parts))))
    return sum(part.nbytes for part in parts) / min(times)


@cache
def peak(dtype, threads):
    """FLOP a second of a product of matrices."""
    A, B, C = (np.ones((ORDER, ORDER), dtype) for _ in range(3))
    with threadpool_limits(threads):
        times = [seconds(lambda: np.matmul(A, B, out=C)) for _ in range(ROUNDS + 1)]
    return 2 * ORDER**3 / min(times)


def least_seconds(size, operations, dtype, threads, quick):
    """(seconds, what binds): data in a processor's own cache are bound by the arithmetic only."""
    most = QUICK_BYTES if quick else MAX_BYTES
    reading = size / bandwidth(min(size, most), threads) if size > cache_size() else 0.0
    return max((reading, "memory"), (operations / peak(dtype, threads), "arithmetic"))


def compare(summary, goal, *work):
    """Add to the summary of a peer's times the fraction of the limit that it reached."""
    if summary["median"] > 0:  # else the difference of two fits is lost in the noise
        least, bound = least_seconds(*work)
        summary["limit"] = {"fraction": least / summary["median"], "of": bound}
        summary["limit"] |= {} if goal is None else {"goal": goal}


def lines(threads, quick):
    size = QUICK_BYTES if quick else MAX_BYTES
    for count in threads:
        yield (
            f"limits, {count} thread{'s' * (count > 1)}: reads {bandwidth(size, count) / 1e9:.1f} "
            f"GB/s, multiplies and adds {peak('float64', count) / 1e9:.0f} GFLOP/s float64, "
            f"{peak('float32', count) / 1e9:.0f} float32 (BLAS)"
        )
