"""Compiled cost functions, and what a descent of a cost function answers."""


def blank_gradient(double[::1] gradient not None):
    """Fill it with what `unwritten` recognises."""
    blank(&gradient[0], gradient.shape[0])


def unwritten(const double[::1] gradient not None):
    """The first entry that a compiled cost has not written; -1: none."""
    return first_unwritten(&gradient[0], gradient.shape[0])
