"""Chunks in a folder, in the form in which they are used."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from scipy import sparse

# The advice MADV_POPULATE_READ of Linux 5.14 and later, which Python has no name for.
POPULATE_READ = 22
# The files of a cache's blocks.
BLOCK_FILES = "[0-9]*-*.npy"


def mapped(path):
    """The array of a file, mapped into memory, with all its pages."""
    array = np.load(path, mmap_mode="r")
    # Where the system cannot, the pages come when they are needed.
    with suppress(OSError, ValueError, AttributeError):
        array._mmap.madvise(POPULATE_READ)
    return np.asarray(array)


class Cache:
    """A folder of blocks as they are used, with their targets and weights."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._marker = self.folder / "fastgd-chunks.json"

    def holds(self, sources):
        """Whether all blocks of these sources are here."""
        if sources is None or not self._marker.exists() or self._known()["sources"] != sources:
            return False
        return len(list(self.folder.glob(BLOCK_FILES))) == self._known()["files"]

    def _known(self):
        try:
            return {"sources": None, "files": 0} | json.loads(self._marker.read_text())
        except ValueError:
            return {"sources": None, "files": 0}

    def begin(self):
        """Remove what an earlier pass has left."""
        if self.folder.exists() and any(self.folder.iterdir()) and not self._marker.exists():
            raise ValueError(
                f"cache={str(self.folder)!r} is a folder with other files: choose an empty one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(BLOCK_FILES):
            path.unlink()
        self.end(None)

    def end(self, sources):
        """All blocks of these sources have been written."""
        files = len(list(self.folder.glob(BLOCK_FILES)))
        self._marker.write_text(json.dumps({"sources": sources, "files": files}))

    def _path(self, i, name):
        return self.folder / f"{i:06}-{name}.npy"

    def write(self, i, X, y, sample_weight):
        """Write block i."""
        parts = {"values": X}
        if sparse.issparse(X):
            parts = {"values": X.data, "indices": X.indices, "indptr": X.indptr}
            parts["shape"] = np.array(X.shape)
        parts |= {"y": y, "weight": sample_weight}
        for name, part in parts.items():
            if part is not None and part.dtype != object:
                np.save(self._path(i, name), part)

    def read(self, i):
        """X of block i: mapped, not copied."""
        parts = [self._path(i, name) for name in ("values", "indices", "indptr", "shape")]
        values, *structure = [mapped(path) for path in parts if path.exists()]
        if not structure:
            return values
        return sparse.csr_array((values, *structure[:2]), shape=tuple(structure[2].tolist()))

    def part(self, i):
        """(X, y, sample_weight) of block i; None for an empty chunk."""
        if not self._path(i, "values").exists():
            return None, None, None
        others = [self._path(i, name) for name in ("y", "weight")]
        return self.read(i), *(np.load(path) if path.exists() else None for path in others)
