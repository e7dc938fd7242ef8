"""Atomic replacement of files: a reader finds the old one or the new one, complete."""

import errno
import fnmatch
import os
import stat
from contextlib import contextmanager, suppress
from secrets import token_hex

try:
    import fcntl
except ImportError:
    # Windows, which does not remove an open file.
    fcntl = None

# The names of temporary files.
TEMPORARY = ".fastgd-{}.tmp"


@contextmanager
def _opened(path):
    """The descriptor of a file or folder, open for reading."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def resolved(path):
    """The regular file of a path with its symbolic links resolved; it need not exist."""
    target = os.path.realpath(os.fsdecode(path))
    if os.path.islink(target):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return target


def remove_abandoned(folder):
    """Remove the temporary files of killed processes: their locks are free."""
    for name in fnmatch.filter(os.listdir(folder), TEMPORARY.format("*")):
        path = os.path.join(folder, name)
        with suppress(OSError):  # in use, gone, or not ours
            if fcntl is None:
                os.unlink(path)
                continue
            with _opened(path) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


def replace(path, write):
    """Have `write(file)` write a new file in the place of `path`, which symbolic links may lead to.

    The links stay. The new file has the mode of the one before or, where there was none, what the
    umask allows. On Linux it has no name while it is written, and disappears with its process.
    """
    target = resolved(path)
    mode = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else None
    if not (hasattr(os, "O_TMPFILE") and _replace(target, write, mode, _unnamed)):
        _replace(target, write, mode, _named)
    if os.name == "posix":  # the new name outlives a power cut, too
        with _opened(os.path.dirname(target)) as folder:
            os.fsync(folder)


def _replace(target, write, mode, create):
    """Whether this way to a new file, `create`, is open here."""
    temporary = os.path.join(os.path.dirname(target), TEMPORARY.format(token_hex(8)))
    descriptor = create(temporary, 0o666 if mode is None else mode & 0o777)
    if descriptor is None:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            given = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode not in (None, given) and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)  # what the umask has taken from it
            write(file)
            file.flush()
            os.fsync(descriptor)
            if create is _unnamed and not _linked(descriptor, temporary):
                return False
            if fcntl is not None:  # the lock lasts until the file has its name
                os.replace(temporary, target)
        if fcntl is None:
            os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return True


def _unnamed(temporary, mode):
    """The descriptor of a locked file without a name; None where there is no such thing."""
    try:
        descriptor = os.open(os.path.dirname(temporary), os.O_TMPFILE | os.O_WRONLY, mode)
    except OSError:  # whatever is wrong with the folder is said when the named file is created
        return None
    _lock(descriptor)
    return descriptor


def _linked(descriptor, name):
    """Give an unnamed file a name; whether the file system can."""
    try:
        # a file descriptor of a folder has Python call linkat, which follows the link in /proc
        with _opened(os.path.dirname(name)) as folder:
            os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=folder)
    except OSError:
        return False
    return True


def _named(temporary, mode):
    """The descriptor of a new, locked file."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    while True:
        descriptor = os.open(temporary, flags, mode)
        if fcntl is None:
            return descriptor
        _lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # taken for an abandoned one before it was locked


def _lock(descriptor):
    """Keep `remove_abandoned` away from a file until it is closed."""
    with suppress(OSError):  # a file system without locks: there nothing is taken for abandoned
        fcntl.flock(descriptor, fcntl.LOCK_EX)
