"""What this machine can do at most: bytes read from memory and multiply-adds, measured in the same run.

A fit that does `operations` on `size` bytes cannot be faster than `least_seconds`; the table prints that over the time taken.
Reading is timed on as many bytes as X has: a last cache may be as large as X, and shared with others, so its size tells little.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from bench.machine import cache_size

SIZE, QUICK_SIZE = 2**30, 2**26  # most bytes to read
ORDER = 1024  # of the matrices multiplied
ROUNDS = 5
READERS = {"sum": np.sum, "max": np.max, "dot": lambda part: np.dot(part, part)}  # all release the GIL


def measure(threads, quick=False):
    """{number of threads: {"bandwidth": {bytes: bytes/s}, "float64": FLOP/s, "float32": FLOP/s}}, each the best of all tries.

    How fast other sizes are read is added when it is first asked for.
    """
    found = {}
    for count in threads:
        found[count] = {"threads": count, "bandwidth": {}, "most": QUICK_SIZE if quick else SIZE} | {
            dtype: peak(np.dtype(dtype), count) for dtype in ("float64", "float32")
        }
        bandwidth(found[count], SIZE)
    return found


def bandwidth(limits, size):
    """Bytes a second, by the fastest reader: each thread reads a part of its own, BLAS on one thread inside."""
    size, known = min(size, limits["most"]), limits["bandwidth"]
    if size not in known:
        known[size] = max(_rates(np.ones(max(size // 8, 1)), limits["threads"]).values())
    return known[size]


def _rates(array, threads):
    """{reader: bytes a second}"""
    parts, rates = np.array_split(array, threads), {}
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for name, read in READERS.items():
            seconds = min(_seconds(lambda read=read: list(pool.map(read, parts))) for _ in range(ROUNDS))
            rates[name] = array.nbytes / seconds
    return rates


def peak(dtype, threads):
    """FLOP a second of a product of matrices."""
    A = np.ones((ORDER, ORDER), dtype)
    B, C = A.copy(), A.copy()
    with threadpool_limits(threads):
        return 2 * ORDER**3 / min(_seconds(lambda: np.matmul(A, B, out=C)) for _ in range(ROUNDS + 1))


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def least_seconds(limits, size, operations, dtype):
    """(seconds, "memory" or "arithmetic"): data in a processor's own cache is bound by the arithmetic only."""
    reading = size / bandwidth(limits, size) if size > cache_size(2) else 0.0
    computing = operations / limits[dtype]
    return max((reading, "memory"), (computing, "arithmetic"))


def compare(entry, limits, size, operations, dtype, goal=None):
    """Give an entry of a result the fraction of the limit that it reached."""
    if entry["median"] <= 0:  # a difference of two fits lost in the noise
        return
    seconds, bound = least_seconds(limits, size, operations, dtype)
    entry["limit"] = {"fraction": seconds / entry["median"], "of": bound}
    if goal is not None:
        entry["limit"]["goal"] = goal


def lines(found):
    for count, limits in found.items():
        yield (f"limits, {count} thread{'s' if count > 1 else ''}: reads {bandwidth(limits, SIZE) / 1e9:.1f} GB/s, multiplies and "
               f"adds {limits['float64'] / 1e9:.0f} GFLOP/s float64, {limits['float32'] / 1e9:.0f} float32 (BLAS)")  # fmt: skip
