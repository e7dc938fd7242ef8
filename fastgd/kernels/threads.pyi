"""Threads: how many OpenMP allows, and whether there is OpenMP at all."""

OPENMP: bool

def maximum() -> int: ...
