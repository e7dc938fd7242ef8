"""The hot loops, compiled. Each module is built for several instruction sets; here one of them is
chosen.

The AVX2 builds lie in the folder ``_avx2`` under the same module names. Where the processor can run
them, that folder goes first on the package's path, and no other dispatch code exists. ``ISA`` says
which one was chosen.
"""

import os

try:
    from numpy._core._multiarray_umath import __cpu_features__ as _cpu
except ImportError:
    _cpu = {}

_AVX2 = os.path.join(__path__[0], "_avx2")


def _choose(wanted):
    """The instruction set to run, from the value of the environment variable FASTGD_ISA ("" for the
    best).
    """
    if wanted not in ("", "avx2", "baseline"):
        raise ValueError(
            f"FASTGD_ISA={wanted!r} is not an instruction set: use 'avx2' or 'baseline', "
            "or leave it unset for the best that this processor runs"
        )
    available = bool(_cpu.get("AVX2") and _cpu.get("FMA3") and os.path.isdir(_AVX2))
    if wanted == "avx2" and not available:
        raise ValueError(
            "FASTGD_ISA='avx2' needs a processor with AVX2 and FMA and a build with the AVX2 "
            "kernels: "
            "leave it unset, or use 'baseline'"
        )
    return "avx2" if available and wanted != "baseline" else "baseline"


ISA = _choose(os.environ.get("FASTGD_ISA", ""))
if ISA == "avx2":
    __path__.insert(0, _AVX2)

# `threads` is imported before any kernel runs: forks end OpenMP's threads from then on. Otherwise
# only compiled code imports `_cyutility`; here PyInstaller and tools like it find the import.
from . import _cyutility, threads  # noqa: E402, F401
