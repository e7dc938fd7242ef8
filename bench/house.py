"""``python -m bench.house``: how large and how plain the sources are, a figure a line."""

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST_LINE = 100
# Words of a dialect that the sources are to be free of; see CONTRIBUTING.md.
DIALECT = r"\b(dear|wary|amid|is told|told of|not of this world|go_on|own_errors)\b"
# A comparison of a loss with a name, which is for problem/losses.py alone.
LOSS_NAMES = r"loss\w* (==|!=|in|not in) [(\"]|case \"\w+\""


def files(*patterns):
    """Tracked files that match any of the patterns."""
    found = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in found.stdout.split()]


def long_lines():
    """(lines over the limit, in all text files)"""
    texts = files("*.py", "*.pyi", "*.pyx", "*.pxd", "*.h", "*.md", "*.toml", "Makefile")
    return sum(len(line) > LONGEST_LINE for path in texts for line in path.read_text().split("\n"))


def unformatted():
    """How many files `ruff format` would change."""
    done = subprocess.run(
        ["ruff", "format", "--check", "."], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.count("Would reformat")


def matching(pattern, paths, but=()):
    """How many lines match a pattern, in all files but those whose names are in `but`."""
    return sum(
        bool(re.search(pattern, line))
        for path in paths
        if path.name not in but
        for line in path.read_text().split("\n")
    )


def kernel_arguments():
    """(most arguments of a function that Python calls in the kernels, its name)"""
    entries = {}
    for path in files("fastgd/kernels/*.pyx"):
        for name, arguments in re.findall(
            r"^(?: {4})?def (\w+)\(((?:[^()]|\([^()]*\))*)\):", path.read_text(), flags=re.M
        ):
            parts = re.split(r",(?![^\[]*\])", arguments)
            count = sum(part.strip() not in ("", "self") for part in parts)
            entries[f"{path.stem}.{name}"] = count
    name = max(entries, key=entries.get)
    return entries[name], name


def code_lines(path):
    """Lines with a token that is neither a comment nor a docstring."""
    source = path.read_text()
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docstrings |= set(range(value.lineno, value.end_lineno + 1))
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.tokenize(io.BytesIO(source.encode()).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def functions(paths):
    """Yields (name, lines without the docstring, parameters without self, is public)."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                first = node.body[0]
                has_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                text = first.end_lineno - first.lineno + 1 if has_text else 0
                given = node.args
                names = [*given.posonlyargs, *given.args, *given.kwonlyargs]
                count = sum(argument.arg not in ("self", "cls") for argument in names)
                is_public = not node.name.startswith("_") or node.name == "__init__"
                name = f"{path.relative_to(ROOT)}:{node.name}"
                yield name, node.end_lineno - node.lineno + 1 - text, count, is_public


def main():
    python = files("fastgd/*.py")
    sources = files("fastgd/*.py", "fastgd/*.pyx", "fastgd/*.pxd", "docs/*.md", "README.md")
    arguments, entry = kernel_arguments()
    described = list(functions(python))
    longest = max(described, key=lambda one: one[1])
    widest = max((one for one in described if not one[3]), key=lambda one: one[2])
    rows = [
        (f"lines over {LONGEST_LINE}", long_lines(), ""),
        ("files that ruff format would change", unformatted(), ""),
        ("lines that compare a loss's name", matching(LOSS_NAMES, python, ("losses.py",)), ""),
        ("arguments of a kernel entry", arguments, entry),
        ("lines of Python in fastgd/", sum(code_lines(path) for path in python), ""),
        ("lines of a function", longest[1], longest[0]),
        ("parameters of a private function", widest[2], widest[0]),
        ("lines of the dialect", matching(DIALECT, sources), ""),
        ("lines of bench/", sum(len(p.read_text().split("\n")) for p in files("bench/*.py")), ""),
    ]
    for what, count, where in rows:
        print(f"{what:<40}{count:>7}  {where}".rstrip())


if __name__ == "__main__":
    main()
