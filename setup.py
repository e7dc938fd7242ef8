"""Compile every kernel once per instruction set; ``fastgd/kernels/__init__.py`` picks one at
import.

The environment at build time: FASTGD_OPENMP=0 builds without threads, FASTGD_BOUNDSCHECK=1 with
every index checked, FASTGD_AVX2=0 for the baseline instruction set only, FASTGD_SANITIZE=thread (or
address,undefined) with these sanitizers of GCC or Clang, FASTGD_COVERAGE=1 with gcov's counters.
"""

import copy
import os
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as _build_ext
from setuptools.errors import CompileError, LinkError

KERNELS = Path("fastgd", "kernels")
OPENMP = os.environ.get("FASTGD_OPENMP", "1") != "0"
CHECKED = os.environ.get("FASTGD_BOUNDSCHECK", "0") != "0"
SANITIZE = os.environ.get("FASTGD_SANITIZE", "")
COVERAGE = os.environ.get("FASTGD_COVERAGE", "0") != "0"
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")
X86 = sysconfig.get_platform() in ("linux-x86_64", "win-amd64")
AVX2 = X86 and os.environ.get("FASTGD_AVX2", "1") != "0"

if sys.platform == "win32":
    # The kernels are C11: MSVC's default C has neither `restrict` nor _Generic.
    CFLAGS, AVX2_CFLAGS = ["/O2", "/std:c11"], ["/arch:AVX2"]
    OPENMP_CFLAGS, OPENMP_LDFLAGS = ["/openmp"], []
else:
    # Nothing here reorders a sum or forgets NaN, as -ffast-math would; the last two let exp and
    # sqrt vectorise.
    CFLAGS = ["-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
    AVX2_CFLAGS = ["-mavx2", "-mfma"]
    if SANITIZE:
        # The first report of undefined behaviour ends the process, as those of memory errors do.
        CFLAGS += [
            "-O1", "-g1", "-fno-omit-frame-pointer", f"-fsanitize={SANITIZE}",
            "-fno-sanitize-recover=undefined", "-fno-wrapv",
        ]  # fmt: skip
    if COVERAGE:
        CFLAGS += ["-O1", "--coverage", "-fprofile-update=atomic"]
    OPENMP_CFLAGS, OPENMP_LDFLAGS = ["-fopenmp"], ["-fopenmp"]
    if sys.platform == "darwin":
        OPENMP_CFLAGS, OPENMP_LDFLAGS = ["-Xpreprocessor", "-fopenmp"], ["-lomp"]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "initializedcheck": CHECKED,
    "wraparound": False,
    "cdivision": True,
    "freethreading_compatible": True,
}


class build_ext(_build_ext):  # noqa: N801
    """Compile in parallel, with OpenMP where the compiler has it."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True  # True is one job a processor

    def build_extensions(self):
        if OPENMP and self.has_openmp():
            for extension in self.extensions:
                extension.extra_compile_args += OPENMP_CFLAGS
                extension.extra_link_args += OPENMP_LDFLAGS
        super().build_extensions()

    def has_openmp(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(
                "#include <omp.h>\nint probe(void) { return omp_get_max_threads(); }\n"
            )
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=OPENMP_CFLAGS
                )
                self.compiler.link_shared_object(
                    objects, str(Path(folder, "probe.so")), extra_postargs=OPENMP_LDFLAGS
                )
            except (CompileError, LinkError):
                self.warn("the compiler has no OpenMP: fastgd is built without threads")
                return False
            return True

    def build_extension(self, extension):
        # A folder of objects each: the instruction sets share a .c file and compile side by side,
        # hence the copy.
        job = copy.copy(self)
        job.build_temp = str(Path(self.build_temp, extension.name))
        super(build_ext, job).build_extension(extension)

    def copy_extensions_to_source(self):
        for extension in self.extensions:
            Path(*extension.name.split(".")[:-1]).mkdir(exist_ok=True)
        super().copy_extensions_to_source()


def extension(name, sources, *cflags, **options):
    return Extension(
        name,
        sources,
        include_dirs=[str(KERNELS)],
        extra_compile_args=[*CFLAGS, *cflags],
        py_limited_api=STABLE_ABI,
        extra_link_args=[f"-fsanitize={SANITIZE}"] * bool(SANITIZE) + ["--coverage"] * COVERAGE,
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
        **options,
    )


def settings_file():
    """A file rewritten only when the settings change, for the extensions to depend on."""
    settings = f"{OPENMP=} {CHECKED=} {CFLAGS=} {AVX2_CFLAGS=} {DIRECTIVES=}\n"
    kind = f"-{SANITIZE}" * bool(SANITIZE) + "-coverage" * COVERAGE
    path = Path("build", f"settings{kind}.txt")
    if not path.exists() or path.read_text() != settings:
        path.parent.mkdir(exist_ok=True)
        path.write_text(settings)
    return str(path)


def extensions():
    """The baseline from the .pyx files, then the same generated C once more as
    ``fastgd.kernels._avx2.<name>``.
    """
    paths = sorted(KERNELS.glob("*.pyx"))
    baseline = cythonize(
        [
            extension("fastgd.kernels._cyutility", [str(KERNELS / "_cyutility.c")]),
            *(extension(f"fastgd.kernels.{path.stem}", [str(path)]) for path in paths),
        ],
        build_dir="build/cython-checked" if CHECKED else "build/cython",
        shared_utility_qualified_name="fastgd.kernels._cyutility",
        compiler_directives=DIRECTIVES,
    )
    for built in baseline:
        built.depends.append(settings_file())
    avx2 = [
        extension(
            f"fastgd.kernels._avx2.{path.stem}", built.sources, *AVX2_CFLAGS, depends=built.depends
        )
        for built, path in zip(baseline[1:], paths, strict=True)
        if AVX2
    ]
    return baseline + avx2


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": build_ext},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
