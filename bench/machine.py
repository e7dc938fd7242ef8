"""What a measurement depends on: processor, versions, flags, instruction set, thread settings."""

import os
import platform
from importlib import import_module, metadata
from pathlib import Path

from threadpoolctl import threadpool_info

from bench.peers import versions

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS",
                   "MKL_NUM_THREADS", "FASTGD_ISA")  # fmt: skip
POOL = ("internal_api", "num_threads", "version", "architecture")
SETTINGS = Path(__file__).parent.parent / "build" / "settings.txt"  # written by setup.py
FEATURES = ("avx", "fma", "avx2", "avx512f")


def describe():
    return {
        "cpu": _cpu("model name") or platform.processor(),
        "cpu_features": [name for name in FEATURES if name in _cpu("flags").split()],
        "cores": cores(),
        "caches": {level: cache_size(level) for level in (2, 3)},
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions() | {name: metadata.version(name) for name in ("scipy", "threadpoolctl")},
        "environment": {name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ},
        "thread_pools": [{key: pool.get(key) for key in POOL} for pool in threadpool_info()],
        "fastgd": _build(),
    }


def cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def free_memory():
    """Bytes that a process may take without swapping, as Linux estimates them; infinite where it is not asked."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), float("inf"))


def cache_size(level):
    """Bytes of the first processor's cache of that level, as Linux names it; 1 MB, or 32 MB of the third, elsewhere."""
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (folder / "level").read_text().strip() == str(level):
            return int((folder / "size").read_text().strip().removesuffix("K")) * 1024
    return 32 * 2**20 if level == 3 else 2**20


def _cpu(key):
    """What Linux says of the first processor; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _build():
    """fastgd's version, instruction set and, where it was built here, the compiler's flags; {} where it is absent."""
    try:
        fastgd = import_module("fastgd")
        build = {"version": fastgd.__version__, "isa": import_module("fastgd.kernels").ISA}
    except ImportError:
        return {}
    return build | ({"settings": SETTINGS.read_text().strip()} if SETTINGS.exists() else {})
