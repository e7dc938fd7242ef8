"""Compiled cost functions, and the statuses of a descent."""
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uintptr_t


def addresses(capsule):
    """(pointer, context) of a PyCapsule; a context of 0: none."""
    cdef void *pointer = PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
    return <uintptr_t> pointer, <uintptr_t> PyCapsule_GetContext(capsule)


def blank_gradient(double[::1] gradient not None):
    """Fill a gradient with marks that `unwritten` recognises."""
    mark_unwritten(&gradient[0], gradient.shape[0])


def unwritten(const double[::1] gradient not None):
    """The first entry that a compiled cost has not written; -1: none."""
    return first_unwritten(&gradient[0], gradient.shape[0])
