"""BLAS beside the kernels: a single BLAS thread while the kernels' threads work."""

from sklearn.utils.parallel import _get_threadpool_controller


def one_blas_thread():
    """A context in which BLAS uses one thread.

    The number of threads would change the bits. Besides, OpenBLAS's threads spin after each sum:
    for about twenty milliseconds the kernels' threads have a processor less.
    """
    return _get_threadpool_controller().limit(limits=1, user_api="blas")
