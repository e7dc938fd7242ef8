"""Compiled functions of users: their addresses, and a check of their signatures."""

import ctypes
import re
import sys
from threading import Lock, get_ident

import numpy as np

from fastgd.problem.records import Record

# The C signature of a cost function.
COST_SIGNATURE = "double (const double *x, double *gradient, intptr_t n, void *data)"
# The C signature of a custom loss of one margin.
LOSS_SIGNATURE = "void (double z, double y, double *value, double *slope, void *data)"
# The C signature of a custom loss of n margins.
BLOCK_LOSS_SIGNATURE = (
    "void (const double *z, const double *y, double *value, double *slope, intptr_t n, void *data)"
)

# The names of the C types of the size of intptr_t.
_INTEGER = {"intptr_t", "ssize_t", "Py_ssize_t", "npy_intp", "ptrdiff_t"} | {
    name
    for name, kind in {
        "long": ctypes.c_long,
        "long long": ctypes.c_longlong,
        "longlong": ctypes.c_longlong,
        "int": ctypes.c_int,
        "int64_t": ctypes.c_int64,
        "int32_t": ctypes.c_int32,
    }.items()
    if ctypes.sizeof(kind) == ctypes.sizeof(ctypes.c_ssize_t)
}

_FunctionPointer = ctypes.CFUNCTYPE(None).__bases__[0]


class CFunction(Record):
    """The addresses of a C function and of its data argument, and its signature.

    `owner` is the user's object, which keeps both alive.
    """

    address: int
    data: int
    signature: str
    owner: object


def _plain(signature):
    """A signature without parameter names and const, with one spelling of intptr_t."""
    result, parameters = re.fullmatch(r"\s*(.*?)\s*\((.*)\)\s*", signature, re.S).groups()

    def kind(text):
        words = re.sub(r"\bconst\b", " ", text)
        stars, words = words.count("*"), words.replace("*", " ").split()
        if len(words) > 1 and words[-1] in (
            "x",
            "gradient",
            "n",
            "data",
            "z",
            "y",
            "value",
            "slope",
        ):
            words = words[:-1]
        name = " ".join(words)
        return ("intptr_t" if not stars and name in _INTEGER else name) + " *" * stars

    return kind(result), *(kind(text) for text in parameters.split(","))


def is_compiled(function):
    """Whether a function is a SciPy LowLevelCallable, a numba.cfunc or a ctypes function pointer,
    not a Python callable.
    """
    return isinstance(function, _FunctionPointer) or _is_low_level(function) or _is_numba(function)


def _is_low_level(function):
    return type(function).__name__ == "LowLevelCallable" and type(function).__module__.startswith(
        "scipy."
    )


def _is_numba(function):
    return type(function).__module__ == "numba.core.ccallback" and hasattr(function, "ctypes")


def c_function(function, argument, *wanted):
    """The `CFunction` of a compiled function; an error that names the argument if it has none of
    the wanted signatures.
    """
    from scipy import LowLevelCallable

    pointer = function.ctypes if _is_numba(function) else function
    if isinstance(pointer, _FunctionPointer) and pointer.argtypes is None:
        raise TypeError(
            f"{argument} is a function pointer without argtypes: set its argtypes and restype, "
            f"those of {wanted[0]!r}"
        )
    callable_ = LowLevelCallable(pointer)
    given = _plain(callable_.signature)
    for signature in wanted:
        if given == _plain(signature):
            return CFunction(*_addresses(callable_), signature, function)
    raise TypeError(
        f"{argument} is compiled with the signature {callable_.signature!r}; "
        + " or ".join(map(repr, wanted))
        + " is needed"
    )


def _addresses(callable_):
    """(function, data) of a LowLevelCallable, a tuple whose first entry is a capsule of both."""
    capsule = tuple.__getitem__(callable_, 0)
    api = ctypes.pythonapi
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))(capsule)
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", api)
    )(capsule, name)
    context = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyCapsule_GetContext", api))(
        capsule
    )
    return pointer, context or 0


# The ctypes prototype of `COST_SIGNATURE`.
COST_POINTER = ctypes.CFUNCTYPE(
    ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p
)


class Watch:
    """Catches exceptions of Python callbacks that C calls: C cannot propagate them, so Python
    passes them to `sys.unraisablehook`.

    Use it as a context around the calls. A callback that raises in this thread sets `failed`, which
    kernels can read, and `error`; its return value is then arbitrary.
    """

    _of_thread: dict = {}
    _lock = Lock()
    _hook_before = None

    def __init__(self, owner):
        self.owner, self.error, self.failed = owner, None, np.zeros(1, np.intc)

    def __enter__(self):
        with Watch._lock:
            if not Watch._of_thread:
                Watch._hook_before, sys.unraisablehook = sys.unraisablehook, Watch._hook
            self._outer = Watch._of_thread.get(get_ident())
            Watch._of_thread[get_ident()] = self
        return self

    def __exit__(self, *exception):
        with Watch._lock:
            if self._outer is None:
                del Watch._of_thread[get_ident()]
            else:
                Watch._of_thread[get_ident()] = self._outer
            if not Watch._of_thread:
                sys.unraisablehook = Watch._hook_before

    def raise_error(self):
        """Raise the exception of the callback, if there is one."""
        if self.failed[0]:
            error, self.error, self.failed[0] = self.error, None, 0
            raise error

    @staticmethod
    def _hook(raised):
        watch = Watch._of_thread.get(get_ident())
        # The object is a function (ctypes), a message (later versions) or a name (numba).
        is_callback = watch is not None and (
            raised.object is watch.owner
            or isinstance(raised.object, str)
            or "callback function" in (raised.err_msg or "")
        )
        if not is_callback:
            Watch._hook_before(raised)
        elif not watch.failed[0]:
            watch.error, watch.failed[0] = raised.exc_value or raised.exc_type(), 1
