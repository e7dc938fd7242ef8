"""Compiled functions of users: their addresses, and a check of their signatures."""

import ctypes
import re
import sys
from struct import calcsize
from threading import Lock, get_ident

import numpy as np
from scipy import LowLevelCallable

from fastgd.kernels.cost import addresses
from fastgd.problem.records import Record

# The C signature of a cost function.
COST_SIGNATURE = "double (const double *x, double *gradient, intptr_t n, void *data)"
# The C signature of a custom loss of one margin.
LOSS_SIGNATURE = "void (double z, double y, double *value, double *slope, void *data)"
# The C signature of a custom loss of n margins.
BLOCK_LOSS_SIGNATURE = (
    "void (const double *z, const double *y, double *value, double *slope, intptr_t n, void *data)"
)

# C's names of integer types, by their codes in `struct`, and those of the size of intptr_t here.
_INTEGERS = {
    "i": ("int", "int32_t"),
    "l": ("long",),
    "q": ("long long", "longlong", "int64_t"),
    "n": ("intptr_t", "ssize_t", "Py_ssize_t", "npy_intp", "ptrdiff_t"),
}
_SIZES = [name for code in _INTEGERS if calcsize(code) == calcsize("n") for name in _INTEGERS[code]]
# The names of parameters in the signatures above.
_PARAMETERS = set(re.findall(r"(\w+)[,)]", COST_SIGNATURE + LOSS_SIGNATURE + BLOCK_LOSS_SIGNATURE))

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
        if len(words) > 1 and words[-1] in _PARAMETERS:
            words = words[:-1]
        name = " ".join(words)
        return ("intptr_t" if not stars and name in _SIZES else name) + " *" * stars

    return kind(result), *(kind(text) for text in parameters.split(","))


def is_compiled(function):
    """Whether a function is a SciPy LowLevelCallable, a numba.cfunc or a ctypes function pointer,
    not a Python callable.
    """
    return isinstance(function, (_FunctionPointer, LowLevelCallable)) or _is_numba(function)


def _is_numba(function):
    return type(function).__module__ == "numba.core.ccallback" and hasattr(function, "ctypes")


def c_function(function, argument, *wanted):
    """The `CFunction` of a compiled function; an error that names the argument if it has none of
    the wanted signatures.
    """
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
            # A LowLevelCallable is a tuple whose first entry is a capsule of function and data.
            return CFunction(*addresses(tuple.__getitem__(callable_, 0)), signature, function)
    needed = " or ".join(map(repr, wanted))
    raise TypeError(
        f"{argument} is compiled with the signature {callable_.signature!r}; {needed} is needed"
    )


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

    # The watches in use, innermost last, as (thread, watch), and the hook that they replace.
    _active: list = []
    _lock = Lock()
    _hook_before = None

    def __init__(self, owner):
        self.owner, self.error, self.failed = owner, None, np.zeros(1, np.intc)

    def __enter__(self):
        with Watch._lock:
            if not Watch._active:
                Watch._hook_before, sys.unraisablehook = sys.unraisablehook, Watch._hook
            Watch._active.append((get_ident(), self))
        return self

    def __exit__(self, *exception):
        with Watch._lock:
            Watch._active.remove((get_ident(), self))
            if not Watch._active:
                sys.unraisablehook = Watch._hook_before

    def raise_error(self):
        """Raise the exception of the callback, if there is one."""
        if self.failed[0]:
            error, self.error, self.failed[0] = self.error, None, 0
            raise error

    @staticmethod
    def _hook(raised):
        mine = [watch for thread, watch in list(Watch._active) if thread == get_ident()]
        watch = mine[-1] if mine else None
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
