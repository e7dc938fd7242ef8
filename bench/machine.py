"""What a measurement depends on: processor, versions, build of fastgd, thread settings."""

import os
import platform
from importlib import metadata
from pathlib import Path

import fastgd
from fastgd.kernels import ISA

PACKAGES = ("numpy", "scipy", "scikit-learn", "threadpoolctl", "torch", "vowpalwabbit", "snapml",
            "cyanure", "skglm", "scikit-surprise", "libmf", "numba")  # fmt: skip
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
                   "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTGD_ISA")  # fmt: skip
BUILD = Path(__file__).parent.parent / "build" / "settings.txt"  # written by setup.py


def describe():
    return {
        "cpu": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "fastgd": f"{fastgd.__version__} ({ISA})",
        "build": BUILD.read_text().strip() if BUILD.exists() else "",
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "environment": {name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ},
    }


def cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def thread_counts(named):
    """The numbers of threads called "one" and "all", each once."""
    return list(dict.fromkeys(cores() if name == "all" else 1 for name in named))


def free_memory():
    """Bytes that a process may take without swapping; infinite where the system does not say."""
    available = _first("/proc/meminfo", "MemAvailable")
    return int(available.split()[0]) * 1024 if available else float("inf")


def cache_size():
    """Bytes of the first processor's own cache, of level 2; 1 MB where Linux does not say."""
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (folder / "level").read_text().strip() == "2":
            return int((folder / "size").read_text().strip().removesuffix("K")) * 1024
    return 2**20


def _first(path, key):
    """What the first line says that starts with `key`; empty if there is none."""
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
