"""The number of threads that OpenMP allows, and whether there is OpenMP.

Importing this module makes fork() safe after threads have run, see threads.h.
"""

cdef extern from "processors.h" nogil:
    int threads_of_region(int most)
    void forget_team()

OPENMP = bool(has_openmp())

if survive_forks(&forget_team) != 0:
    raise MemoryError("no memory for the handler that ends OpenMP's threads before a fork")


cdef bint leaves_busy_processors = True


def leave_busy_processors(bint on):
    """Whether parallel regions do with the threads that find a free processor, as by default. For
    tests of threads, which a busy machine would run on one; returns what was set before.
    """
    global leaves_busy_processors
    before, leaves_busy_processors = leaves_busy_processors, on
    return before


cdef int region_threads(int most) noexcept nogil:
    """The number of threads, at most `most`, of a parallel region that begins now: those that find
    a free processor. It changes no result.
    """
    if not can_share():
        return 1
    return threads_of_region(most) if leaves_busy_processors else most


def maximum():
    """The number of threads that OpenMP allows now, by OMP_NUM_THREADS, threadpoolctl or joblib."""
    return max_threads()
