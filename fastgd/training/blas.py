"""BLAS beside the kernels: one thread of it while threads of theirs are at work."""

from sklearn.utils.parallel import _get_threadpool_controller


def one_blas_thread():
    """A context in which BLAS does not share its sums among threads.

    Their number would change the bits; and after any shared sum OpenBLAS's threads wait for the
    next one so busily that for some twenty milliseconds the kernels' own threads have a processor
    less.
    """
    return _get_threadpool_controller().limit(limits=1, user_api="blas")
