"""Threads: how many OpenMP allows, whether there is OpenMP at all, and letting go of them before a fork."""

OPENMP = bool(has_openmp())


def maximum():
    """The threads that OpenMP allows now: OMP_NUM_THREADS, threadpoolctl and joblib's limits count."""
    return max_threads()


def release():
    """End OpenMP's idle threads; called before every fork, since a forked child would wait for them for ever."""
    release_threads()
