"""XXH64, a hash of bytes at the speed of memory, to compare arrays. Source: "xxHash fast digest
algorithm", https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .signals cimport Watch, watch_end, watch_start, watch_work

cdef uint64_t P1 = <uint64_t> 0x9E3779B185EBCA87
cdef uint64_t P2 = <uint64_t> 0xC2B2AE3D27D4EB4F
cdef uint64_t P3 = <uint64_t> 0x165667B19E3779F9
cdef uint64_t P4 = <uint64_t> 0x85EBCA77C2B2AE63
cdef uint64_t P5 = <uint64_t> 0x27D4EB2F165667C5

cdef enum:
    STRIPES = 4096              # stripes of 32 bytes between two checks for Ctrl-C


cdef inline uint64_t rotate_left(uint64_t a, int bits) noexcept nogil:
    return a << bits | a >> (64 - bits)


cdef inline uint64_t word(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef inline uint64_t mix(uint64_t lane, uint64_t value) noexcept nogil:
    return rotate_left(lane + value * P2, 31) * P1


cdef const uint8_t *stripes(const uint8_t *at, Py_ssize_t count, uint64_t *lanes) noexcept nogil:
    """Mix in stripes of 32 bytes, 8 for each lane."""
    cdef uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3]
    cdef const uint8_t *end = at + 32 * count
    while at < end:
        a = mix(a, word(at))
        b = mix(b, word(at + 8))
        c = mix(c, word(at + 16))
        d = mix(d, word(at + 24))
        at += 32
    lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
    return at


cdef uint64_t finish(uint64_t value, const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """Mix in the remaining bytes, fewer than 32, and spread every bit over the result."""
    cdef uint32_t half
    while size >= 8:
        value = rotate_left(value ^ mix(0, word(at)), 27) * P1 + P4
        at += 8
        size -= 8
    if size >= 4:
        memcpy(&half, at, 4)
        value = rotate_left(value ^ half * P1, 23) * P2 + P3
        at += 4
        size -= 4
    while size > 0:
        value = rotate_left(value ^ at[0] * P5, 11) * P1
        at += 1
        size -= 1
    value = (value ^ value >> 33) * P2
    value = (value ^ value >> 29) * P3
    return value ^ value >> 32


def xxh64(const uint8_t[::1] data not None):
    """The hash with seed 0. Two different arrays have the same hash with probability 2^-64."""
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
            value = (rotate_left(lanes[0], 1) + rotate_left(lanes[1], 7)
                     + rotate_left(lanes[2], 12) + rotate_left(lanes[3], 18))
            for k in range(4):
                value = (value ^ mix(0, lanes[k])) * P1 + P4
        value = finish(value + <uint64_t> size, at, size % 32)
    watch_end(&watch)
    return value


cdef enum:
    LANES = 16                  # of the checksum, 8 bytes each
    BLOCK = 16                  # stripes of all lanes between two scrambles


cdef inline void accumulate(const uint8_t *at, Py_ssize_t stripes, uint64_t *lanes) noexcept nogil:
    """Rotate each lane and add a word, stripe by stripe, which the compiler vectorises; then
    scramble the lanes.
    """
    cdef Py_ssize_t s, k
    cdef uint64_t own[LANES]
    memcpy(own, lanes, sizeof(own))
    for s in range(stripes):
        for k in range(LANES):
            own[k] = rotate_left(own[k], 27) + word(at + 8 * (LANES * s + k))
    for k in range(LANES):
        lanes[k] = (own[k] ^ own[k] >> 29 ^ P5) * P1


def checksum(const uint8_t[::1] data not None):
    """A hash several times as fast as `xxh64`, for blocks that are checked again and again.

    Every step is a bijection of the lane and of the word, so no change of a single word is missed;
    others are with probability 2^-64, if they have nothing to do with the hash.
    """
    cdef Py_ssize_t size = data.shape[0], block = 8 * LANES * BLOCK, blocks = size // block, b
    cdef const uint8_t *at = &data[0] if size else NULL
    cdef uint64_t lanes[LANES]
    cdef Watch watch
    memset(lanes, 0, sizeof(lanes))
    watch_start(&watch)
    with nogil:
        for b in range(blocks):
            if watch_work(&watch, BLOCK):
                break
            accumulate(at + b * block, BLOCK, lanes)
    watch_end(&watch)
    summed = (<const char *> lanes)[:sizeof(lanes)]
    return xxh64(summed + bytes(data[blocks * block:]) + size.to_bytes(8, "little"))
