"""Update rules on a flat vector and its gradient."""
import numpy as np


def step(Rule rule, floating[::1] theta not None, const floating[::1] gradient not None,
         floating[::1] first, floating[::1] second, double rate, Py_ssize_t t, double l1=0.0,
         double l2=0.0):
    """The t-th update (from 1) of theta and the rule's buffers `first` and `second`, None where it
    has none, in place.
    """
    cdef Py_ssize_t n = theta.shape[0]
    cdef const floating[::1] slopes = gradient
    cdef floating[::1] noisy
    if (gradient.shape[0] != n or (first is not None and first.shape[0] != n)
            or (second is not None and second.shape[0] != n)):
        raise ValueError(f"theta has {n} entries; gradient and buffers must have as many")
    check_buffers(rule.kind, first is not None, second is not None)
    if n and rule.noise > 0:
        noisy = np.array(gradient)
        add_noise(&rule, &noisy[0], n, t)
        slopes = noisy
    if n:
        with nogil:
            update(&rule, &theta[0], &slopes[0], NULL if first is None else &first[0],
                   NULL if second is None else &second[0], n, rate, t, l1, l2)
