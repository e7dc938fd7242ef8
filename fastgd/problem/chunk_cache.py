"""Chunks in a folder, in the form in which they are used."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from scipy import sparse

from fastgd.kernels.digest import checksum

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


class DamagedCacheError(ValueError):
    """A file of a cache is not what was written."""


def checked(path, digest, load=np.load):
    """The array of a file, which has to be what was written."""
    try:
        array = load(path)
        is_right = digest_of(array) == digest
    except Exception as error:  # the first bytes say how the others are read: anything may happen
        raise DamagedCacheError(f"{str(path)!r} cannot be read: {error}") from error
    if not is_right:
        raise DamagedCacheError(f"{str(path)!r} is not what was written")
    return array


def digest_of(array):
    """[shape, dtype, hash] of an array, as JSON has them."""
    numbers = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return [list(array.shape), array.dtype.str, checksum(numbers)]


class Cache:
    """A folder of blocks as they are used, with their targets and weights."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._marker = self.folder / "fastgd-chunks.json"
        self._digests = {}  # by the name of the file

    def holds(self, sources):
        """Whether all blocks of these sources are here; then `part` checks what it reads."""
        if sources is None or not self._marker.exists():
            return False
        try:
            known = json.loads(self._marker.read_text())
            found, self._digests = known["sources"], dict(known["files"])
        except (ValueError, TypeError, KeyError):  # damaged, or of another version
            return False
        names = {path.name for path in self.folder.glob(BLOCK_FILES)}
        return found == sources and names == set(self._digests)

    def begin(self):
        """Remove what an earlier pass has left."""
        if self.folder.exists() and any(self.folder.iterdir()) and not self._marker.exists():
            raise ValueError(
                f"cache={str(self.folder)!r} is a folder with other files: choose an empty one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(BLOCK_FILES):
            path.unlink()
        self._digests = {}
        self.end(None)

    def end(self, sources):
        """All blocks of these sources have been written."""
        self._marker.write_text(
            json.dumps({"sources": sources, "files": self._digests}, sort_keys=True)
        )

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
                self._digests[self._path(i, name).name] = digest_of(part)

    def read(self, i, load=mapped):
        """X of block i: mapped, not copied."""
        parts = [self._path(i, name) for name in ("values", "indices", "indptr", "shape")]
        try:
            values, *structure = [load(path) for path in parts if path.exists()]
            if not structure:
                return values
            values, shape = (values, *structure[:2]), tuple(structure[2].tolist())
            return sparse.csr_array(values, shape=shape)
        except DamagedCacheError:
            raise
        except Exception as error:
            raise DamagedCacheError(
                f"block {i} of cache={str(self.folder)!r} cannot be read: {error}"
            ) from error

    def part(self, i):
        """(X, y, sample_weight) of block i, as it was written; None for an empty chunk."""
        if self._path(i, "values").name not in self._digests:
            return None, None, None
        X = self.read(i, lambda path: checked(path, self._digests.get(path.name), mapped))
        others = [self._path(i, name) for name in ("y", "weight")]
        return X, *(
            checked(path, self._digests[path.name]) if path.name in self._digests else None
            for path in others
        )
