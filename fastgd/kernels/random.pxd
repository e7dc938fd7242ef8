"""Random numbers and permutations, which depend on the seed alone, not on the machine."""
from libc.math cimport M_PI, cos, log, sin, sqrt
from libc.stdint cimport uint64_t


cdef inline uint64_t draw(uint64_t *state) noexcept nogil:
    """splitmix64 (Steele, Lea, Flood, OOPSLA 2014)"""
    state[0] += <uint64_t> 0x9E3779B97F4A7C15
    cdef uint64_t z = state[0]
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline void normal_pair(uint64_t *state, double *first, double *second) noexcept nogil:
    """Two standard normal numbers (Box, Muller, 1958)."""
    cdef double radius = sqrt(-2.0 * log(((draw(state) >> 11) + 1) / 9007199254740992.0))
    cdef double angle = 2.0 * M_PI * ((draw(state) >> 11) / 9007199254740992.0)
    first[0] = radius * cos(angle)
    second[0] = radius * sin(angle)


cdef inline void permute(Py_ssize_t *values, Py_ssize_t n, uint64_t *state) noexcept nogil:
    """Fisher-Yates shuffle. An index below i + 1 <= 2^32 is the high half of a product, with a bias
    below 2^-32.
    """
    cdef Py_ssize_t i, j
    for i in range(n - 1, 0, -1):
        j = <Py_ssize_t> (((draw(state) >> 32) * <uint64_t> (i + 1)) >> 32)
        values[i], values[j] = values[j], values[i]
