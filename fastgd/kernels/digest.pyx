"""XXH64, a hash of bytes at the speed of memory: whether two arrays hold the same. Source: "xxHash
fast digest algorithm", https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from .signals cimport Watch, watch_end, watch_start, watch_work

cdef uint64_t P1 = <uint64_t> 0x9E3779B185EBCA87
cdef uint64_t P2 = <uint64_t> 0xC2B2AE3D27D4EB4F
cdef uint64_t P3 = <uint64_t> 0x165667B19E3779F9
cdef uint64_t P4 = <uint64_t> 0x85EBCA77C2B2AE63
cdef uint64_t P5 = <uint64_t> 0x27D4EB2F165667C5

cdef enum:
    STRIPES = 4096              # of 32 bytes, between two looks at Ctrl-C


cdef inline uint64_t turned(uint64_t a, int by) noexcept nogil:
    return a << by | a >> (64 - by)


cdef inline uint64_t word(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef inline uint64_t mixed(uint64_t lane, uint64_t value) noexcept nogil:
    return turned(lane + value * P2, 31) * P1


cdef const uint8_t *stripes(const uint8_t *at, Py_ssize_t count, uint64_t *lanes) noexcept nogil:
    """Mix in 32 bytes at a time, 8 a lane."""
    cdef uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3]
    cdef const uint8_t *end = at + 32 * count
    while at < end:
        a = mixed(a, word(at))
        b = mixed(b, word(at + 8))
        c = mixed(c, word(at + 16))
        d = mixed(d, word(at + 24))
        at += 32
    lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
    return at


cdef uint64_t finished(uint64_t value, const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """Mix in the last, less than 32 bytes, and let every bit tell on every other."""
    cdef uint32_t half
    while size >= 8:
        value = turned(value ^ mixed(0, word(at)), 27) * P1 + P4
        at += 8
        size -= 8
    if size >= 4:
        memcpy(&half, at, 4)
        value = turned(value ^ half * P1, 23) * P2 + P3
        at += 4
        size -= 4
    while size > 0:
        value = turned(value ^ at[0] * P5, 11) * P1
        at += 1
        size -= 1
    value = (value ^ value >> 33) * P2
    value = (value ^ value >> 29) * P3
    return value ^ value >> 32


def xxh64(const uint8_t[::1] data not None):
    """The hash with seed 0, of which two different arrays have the same with a probability of
    2^-64.
    """
    cdef Py_ssize_t size = data.shape[0], left = size // 32, count
    cdef const uint8_t *at = &data[0] if size else NULL
    cdef uint64_t value = P5
    cdef uint64_t[4] lanes
    cdef Py_ssize_t k
    cdef Watch watch
    watch_start(&watch)
    with nogil:
        if left:
            lanes[0], lanes[1], lanes[2], lanes[3] = P1 + P2, P2, 0, 0 - P1
            while left > 0 and not watch_work(&watch, 4 * STRIPES):
                count = min(left, STRIPES)
                at = stripes(at, count, &lanes[0])
                left -= count
            value = (turned(lanes[0], 1) + turned(lanes[1], 7) + turned(lanes[2], 12)
                     + turned(lanes[3], 18))
            for k in range(4):
                value = (value ^ mixed(0, lanes[k])) * P1 + P4
        value = finished(value + <uint64_t> size, at, size % 32)
    watch_end(&watch)
    return value
