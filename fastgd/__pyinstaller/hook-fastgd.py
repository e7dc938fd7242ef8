"""The kernels: PyInstaller does not see the imports of compiled modules, nor `_avx2`, which is not
a package.
"""

from pathlib import Path

KERNELS = Path(__file__).parent.parent / "kernels"


def compiled(folder):
    """The extension modules in a folder."""
    return sorted(path for path in folder.glob("*") if path.suffix in (".so", ".pyd"))


hiddenimports = [f"fastgd.kernels.{path.name.split('.')[0]}" for path in compiled(KERNELS)]
binaries = [(str(path), "fastgd/kernels/_avx2") for path in compiled(KERNELS / "_avx2")]
