"""The number of threads that OpenMP allows, and whether there is OpenMP.

Importing this module makes fork() safe after threads have run, see threads.h.
"""

OPENMP = bool(has_openmp())

if survive_forks() != 0:
    raise MemoryError("no memory for the handler that ends OpenMP's threads before a fork")


def maximum():
    """The number of threads that OpenMP allows now, by OMP_NUM_THREADS, threadpoolctl or joblib."""
    return max_threads()
