"""The rules of the house: imports run downward only, nothing is loaded before it is needed, every
name is listed.
"""

import ast
import os
import re
import subprocess
import sys
from importlib.util import resolve_name
from inspect import signature
from pathlib import Path

import pytest

import fastgd

HOUSE = Path(fastgd.__file__).parent
FILES = sorted(path for path in HOUSE.rglob("*") if path.suffix in (".py", ".pyi", ".pyx", ".pxd"))


def floor(name):
    """From the kernels up to all that is public."""
    rooms = {"kernels": 0, "problem": 1, "methods": 2, "training": 2, "estimators": 3}
    return rooms.get((name + ".").split(".")[1], 4)


def imported(path, package):
    """The full names that a file imports, wherever in it."""
    if path.suffix in (".pyx", ".pxd"):
        for name in re.findall(r"^\s*(?:from|c?import) +([.\w]+)", path.read_text(), re.M):
            yield resolve_name(name, package)
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_run_downward(path):
    package = ".".join(["fastgd", *path.relative_to(HOUSE).parent.parts])
    above = [
        name
        for name in imported(path, package)
        if name.split(".")[0] == "fastgd" and floor(name) > floor(f"{package}.{path.stem}")
    ]
    assert not above


def run(code, **environment):
    """What a fresh interpreter prints, errors included."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.strip()


def test_import_loads_nothing_heavy():
    heavy = {"numpy", "scipy", "sklearn", "matplotlib", "fastgd.kernels", "fastgd.estimators"}
    assert run(f"import sys, fastgd; print({heavy} & set(sys.modules))") == "set()"


def test_estimators_load_no_matplotlib():
    assert run("import sys; from fastgd import *; print('matplotlib' in sys.modules)") == "False"


def test_every_public_name_is_listed():
    assert dir(fastgd) == sorted(fastgd.__all__)
    for name in fastgd.__all__:
        assert getattr(fastgd, name) is not None
    with pytest.raises(AttributeError, match="'SGDKlassifier'"):
        fastgd.SGDKlassifier  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(fastgd.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == fastgd._HOME
    # `import A as A` makes A public; another name would hide it
    assert all(alias.name == alias.asname for node in block.body for alias in node.names)


def public_functions():
    """(name, function) of each public function, method and property that fastgd defines."""
    for name in fastgd.__all__:
        value = getattr(fastgd, name)
        if not isinstance(value, type):
            yield name, value
            continue
        for base in value.__mro__:
            for method, part in vars(base).items():
                if method == "__init__" or not method.startswith("_"):
                    part = getattr(part, "__func__", getattr(part, "fget", part))
                    yield f"{name}.{method}", getattr(part, "fn", part)


def test_public_functions_have_types():
    missing = []
    for name, function in public_functions():
        # Constructors of fields have none at run time; a method for SciPy has SciPy's arguments.
        is_ours = getattr(function, "__module__", "").startswith("fastgd") and callable(function)
        is_made = name in fastgd._NAMES["optimize"].split()[2:] or "<string>" in getattr(
            getattr(function, "__code__", None), "co_filename", ""
        )
        if not is_ours or isinstance(function, type) or is_made:
            continue
        parts = signature(function)
        types = [
            parameter.annotation
            for parameter in parts.parameters.values()
            if parameter.name not in ("self", "cls")
        ]
        if parts.empty in [*types, parts.return_annotation]:
            missing.append(name)
    assert missing == []


def test_instruction_set_is_the_one_asked_for():
    show = (
        "from fastgd import kernels; from fastgd.kernels import rows; "
        "print(kernels.ISA, '_avx2' in rows.__file__)"
    )
    assert run(show, FASTGD_ISA="baseline") == "baseline False"
    assert run(show, FASTGD_ISA="") in ("avx2 True", "baseline False")
    assert run(show, FASTGD_ISA="sse9").endswith(
        "ValueError: FASTGD_ISA='sse9' is not an instruction set: use 'avx2' or 'baseline', "
        "or leave it unset for the best that this processor runs"
    )


def test_kernels_keep_subnormal_numbers():
    """-ffast-math in any module would flush them to zero in the whole process."""
    assert (
        run("import sys; from fastgd.kernels import rows; print(sys.float_info.min / 4 > 0)")
        == "True"
    )
