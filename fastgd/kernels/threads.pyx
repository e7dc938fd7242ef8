"""The number of threads that OpenMP allows, and whether there is OpenMP.

Importing this module makes fork() safe after threads have run, see threads.h.
"""

cdef extern from "processors.h" nogil:
    int threads_of_region(int most)
    void forget_team()

OPENMP = bool(has_openmp())

if survive_forks(&forget_team) != 0:
    raise MemoryError("no memory for the handler that ends OpenMP's threads before a fork")


cdef bint only_free_processors = True


def use_only_free_processors(bint only):
    """Whether a parallel region has at most as many threads as processors are free, as by default.
    Tests of threads would run on one where the machine is busy.
    """
    global only_free_processors
    only_free_processors = only


cdef int region_threads(int most) noexcept nogil:
    """The number of threads, at most `most`, of a parallel region that begins now: those that find
    a free processor. It changes no result.
    """
    if not can_share():
        return 1
    return threads_of_region(most) if only_free_processors else most


def maximum():
    """The number of threads that OpenMP allows now, by OMP_NUM_THREADS, threadpoolctl or joblib."""
    return max_threads()
