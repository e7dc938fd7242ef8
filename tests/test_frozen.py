"""A program frozen by PyInstaller trains, on both instruction sets and in processes of its own.

`make wheel-test` runs this on the installed wheel; elsewhere it is skipped, unless PyInstaller is
there.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("PyInstaller") is None, reason="needs PyInstaller")

PROGRAM = """
import multiprocessing
import sys

import fastgd
from fastgd import MatrixFactorization, MLPRegressor, Ridge, SGDClassifier, minimize
from fastgd.kernels import ISA, rows

X = [[i % 7, i % 5, i % 3] for i in range(300)]
y = [row[0] > 3 for row in X]

def train(_):
    return SGDClassifier("log_loss", batch_size="full", n_jobs=2).fit(X, y).score(X, y)

if __name__ == "__main__":
    multiprocessing.freeze_support()
    models = Ridge(), MLPRegressor(random_state=0)
    scores = [train(0), *(model.fit(X, y).score(X, y) for model in models)]
    with multiprocessing.Pool(1) as pool:
        scores += pool.map(train, [0])
    ratings = MatrixFactorization(random_state=0).fit([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 3.0])
    found = minimize(lambda x: (((x - 3) ** 2).sum(), 2 * (x - 3)), [0.0, 0.0], True)
    print(ISA, "_avx2" in rows.__file__, min(scores) > 0.5, ratings.n_iter_ > 0, found.success)
    assert fastgd.__file__.startswith(sys._MEIPASS)
"""
UNNEEDED = (
    "matplotlib",
    "pandas",
    "rich",
    "PIL",
    "tkinter",
    "IPython",
    "setuptools",
    "pkg_resources",
    "pytest",
    "Cython",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "program.py").write_text(PROGRAM)
    without = [f"--exclude-module={name}" for name in UNNEEDED]
    tools = os.environ | {"PATH": os.environ["PATH"] + os.pathsep + os.defpath}  # such as ldd
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level=ERROR", *without, "program.py"],
        cwd=folder,
        env=tools,
        check=True,
    )
    return folder / "dist" / "program" / ("program.exe" if sys.platform == "win32" else "program")


@pytest.mark.parametrize("isa", ["", "baseline"])
def test_a_frozen_program_trains(isa, program):
    from fastgd.kernels import _choose

    environment = {**os.environ, "FASTGD_ISA": isa, "PYTHONPATH": ""}
    done = subprocess.run([program], env=environment, text=True, capture_output=True, timeout=120)
    expected = _choose(isa)
    assert done.stderr == ""
    assert done.stdout.split() == [expected, str(expected == "avx2"), "True", "True", "True"]
