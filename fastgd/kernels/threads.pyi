"""The number of threads that OpenMP allows, and whether there is OpenMP."""

OPENMP: bool

def maximum() -> int: ...
