"""Compiled cost functions, and the statuses of a descent."""


def blank_gradient(double[::1] gradient not None):
    """Fill a gradient with marks that `unwritten` recognises."""
    mark_unwritten(&gradient[0], gradient.shape[0])


def unwritten(const double[::1] gradient not None):
    """The first entry that a compiled cost has not written; -1: none."""
    return first_unwritten(&gradient[0], gradient.shape[0])
