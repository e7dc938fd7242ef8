"""Threads: how many OpenMP allows, and whether there is OpenMP at all.

Importing this module makes forked children safe, see threads.h.
"""

OPENMP = bool(has_openmp())

if survive_forks() != 0:
    raise MemoryError("no memory for the handler that ends OpenMP's threads before a fork")


def maximum():
    """The threads that OpenMP allows now: OMP_NUM_THREADS, threadpoolctl and joblib's limits count.
    """
    return max_threads()
