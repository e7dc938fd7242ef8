"""The order in which an epoch visits the rows: a random permutation, one that mixes blocks of
neighbouring rows, or a weighted sample.
"""
from libc.stdint cimport uint64_t

from .random cimport draw, permute


def shuffle(Py_ssize_t[::1] values not None, uint64_t seed):
    """Permute `values` in place. Every permutation is equally likely."""
    cdef uint64_t state = seed
    if values.shape[0] > 2**32:
        raise ValueError("more than 2^32 rows")
    if values.shape[0]:
        with nogil:
            permute(&values[0], values.shape[0], &state)


def shuffle_blocks(const Py_ssize_t[::1] rows not None, Py_ssize_t[::1] out not None,
                   Py_ssize_t[::1] blocks not None, Py_ssize_t block, Py_ssize_t pool,
                   uint64_t seed):
    """out <- rows, in an order that mixes `pool` random blocks of `block` neighbouring rows at a
    time.

    `blocks` holds the numbers of the blocks in any order, and is permuted.
    """
    cdef Py_ssize_t n = rows.shape[0], count = blocks.shape[0], begin = 0, at = 0, i, b
    cdef uint64_t state = seed
    if block < 1 or pool < 1:
        raise ValueError(f"block and pool must be at least 1, got {block} and {pool}")
    for b in range(count):
        if not 0 <= blocks[b] < count:
            raise ValueError(f"blocks[{b}] = {blocks[b]} is not one of the {count} blocks")
    if out.shape[0] != n or count != (n + block - 1) // block:
        raise ValueError(f"{n} rows in blocks of {block}: got {count} blocks, and room for "
                         f"{out.shape[0]} rows")
    if n == 0:
        return
    with nogil:
        permute(&blocks[0], count, &state)
        for b in range(count):
            for i in range(blocks[b] * block, min((blocks[b] + 1) * block, n)):
                out[at] = rows[i]
                at += 1
            if b % pool == pool - 1 or b == count - 1:
                permute(&out[begin], at - begin, &state)
                begin = at


def sample(const Py_ssize_t[::1] rows not None, const double[::1] expected not None,
           Py_ssize_t[::1] out not None, uint64_t seed):
    """out <- a systematic sample of the rows, in random order. Row i occurs `expected[i]` times,
    rounded up or down at random.

    `expected` must sum to the length of `out`.
    """
    cdef Py_ssize_t n = rows.shape[0], at = 0, i = 0
    cdef uint64_t state = seed
    cdef double offset = (draw(&state) >> 11) / 9007199254740992.0, reached
    if expected.shape[0] != n or n == 0:
        raise ValueError(f"{n} rows need as many expected numbers, got {expected.shape[0]}")
    with nogil:
        reached = expected[0]
        for at in range(out.shape[0]):
            while reached <= offset + at and i < n - 1:
                i += 1
                reached += expected[i]
            out[at] = rows[i]
        permute(&out[0], out.shape[0], &state)
