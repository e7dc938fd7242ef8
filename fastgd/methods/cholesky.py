"""Cholesky factors by LAPACK itself: SciPy's checks take longer than a small matrix's factor."""

from scipy.linalg.lapack import dpotrf, dpotrs


def cholesky(H):
    """The lower triangular factor of a symmetric matrix, of which the lower triangle is read and
    may be overwritten; None if it is not positive definite.
    """
    if not len(H):
        return H
    factor, fault = dpotrf(H, lower=1, clean=0, overwrite_a=1)
    return None if fault else factor


def solve(factor, B):
    """H^-1 B for a vector B, or for each column of a matrix."""
    return dpotrs(factor, B, lower=1)[0] if len(factor) else B
