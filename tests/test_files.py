"""Where a `Checkpoint` writes: modes, links, and processes that die or write the same file."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastgd import Checkpoint, SGDClassifier
from fastgd.estimators import files

X, Y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], [0, 0, 1, 1]
posix = pytest.mark.skipif(os.name != "posix", reason="links, modes and signals are POSIX's here")


def fit_to(path):
    model = SGDClassifier(max_iter=2, tol=None, warm_start=True, random_state=0)
    return model.set_callbacks(Checkpoint(path)).fit(X, Y)


def is_model(path):
    return isinstance(pickle.loads(Path(path).read_bytes()), SGDClassifier)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture(params=["unnamed", "named"])
def way(request, monkeypatch):
    """With files that have no name while they are written, where there are such, and without."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("the system has no files without a name")
    return request.param


@posix
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002, 0o077])
def test_a_new_file_follows_the_umask(umask, way, tmp_path):
    before = os.umask(umask)
    try:
        fit_to(tmp_path / "model")
    finally:
        os.umask(before)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o666 & ~umask


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o777, 0o440])
def test_an_existing_file_keeps_its_mode(mode, way, tmp_path):
    path = tmp_path / "model"
    path.touch()
    path.chmod(mode)
    fit_to(path)
    assert path.stat().st_mode & 0o777 == mode
    assert is_model(path)


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_links_are_written_through(exists, way, tmp_path):
    """A relative link, one to a link, one through a folder that is a link."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "now").symlink_to("runs")
    real, links = (
        tmp_path / "runs" / "model",
        [tmp_path / "links" / name for name in ("one", "two", "three")],
    )
    links[0].symlink_to("../runs/model")
    links[1].symlink_to(links[0])
    links[2].symlink_to("../now/model")
    for link in (*links, tmp_path / "now" / "model"):
        real.unlink(missing_ok=True)
        if exists:
            real.write_bytes(b"before")
        fit_to(link)
        assert is_model(real)
        assert names(tmp_path / "runs") == ["model"]
    assert all(link.is_symlink() for link in (*links, tmp_path / "now"))
    assert names(tmp_path / "links") == ["one", "three", "two"]


def test_who_has_the_file_open_goes_on_reading_the_one_before(way, tmp_path):
    if os.name != "posix":
        pytest.skip("an open file cannot be replaced")
    (tmp_path / "model").write_bytes(b"before")
    with open(tmp_path / "model", "rb") as file:
        fit_to(tmp_path / "model")
        assert file.read() == b"before"


@posix
def test_a_file_system_without_links_gets_named_files(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_linked", lambda descriptor, name: False)
    fit_to(tmp_path / "model")
    assert is_model(tmp_path / "model")
    assert names(tmp_path) == ["model"]


@posix
def test_what_is_no_file_is_refused_before_training(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        fit_to(tmp_path / "one")
    with pytest.raises(OSError, match="not a regular file"):
        fit_to(tmp_path)
    with pytest.raises(OSError, match="not a regular file"):
        fit_to(os.devnull)
    with pytest.raises(FileNotFoundError):
        fit_to(tmp_path / "missing" / "model")


KILLED = """
import os, signal, sys
from fastgd.estimators import files

if sys.argv[2] == "named":
    vars(os).pop("O_TMPFILE", None)

def write(file):
    file.write(b"half of it")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

files.replace(sys.argv[1], write)
"""


@posix
def test_a_process_killed_while_it_writes_leaves_nothing_for_long(way, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"before")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), way])
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"before"
    assert len(names(tmp_path)) == (1 if way == "unnamed" else 2)
    fit_to(path)
    assert names(tmp_path) == ["model"]


@posix
def test_what_somebody_still_writes_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    (tmp_path / ".fastgd-notes").touch()

    def write(file):
        file.write(b"first")
        fit_to(tmp_path / "model")
        assert len(names(tmp_path)) == 3

    files.replace(tmp_path / "other", write)
    assert (tmp_path / "other").read_bytes() == b"first"
    assert names(tmp_path) == [".fastgd-notes", "model", "other"]


WRITES = """
import os, sys
from fastgd.estimators import files

path, way, letter = sys.argv[1:]
if way == "named":
    vars(os).pop("O_TMPFILE", None)
for size in range(200):
    files.remove_abandoned(os.path.dirname(path))
    files.replace(path, lambda file: file.write(letter.encode() * (1000 * size + 1)))
"""


@posix
def test_two_processes_that_write_the_same_file_leave_a_complete_one(way, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"a")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES, str(path), way, letter]) for letter in "ab"
    ]
    while any(writer.poll() is None for writer in writers):
        text = path.read_bytes()
        assert text == text[:1] * len(text)
        assert len(text) % 1000 == 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert names(tmp_path) == ["model"]
