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


def run(*command, check=True):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=check).stdout


def files(*patterns):
    """Tracked files that match any of the patterns."""
    return [ROOT / name for name in run("git", "ls-files", *patterns).split()]


def lines(paths):
    return [line for path in paths for line in path.read_text().split("\n")]


def matching(pattern, lines):
    return sum(bool(re.search(pattern, line)) for line in lines)


def kernel_arguments():
    """(most arguments of a function that Python calls in the kernels, its name)"""
    entries = {}
    for path in files("fastgd/kernels/*.pyx"):
        pattern = r"^(?: {4})?def (\w+)\(((?:[^()]|\([^()]*\))*)\):"
        for name, arguments in re.findall(pattern, path.read_text(), flags=re.M):
            parts = re.split(r",(?![^\[]*\])", arguments)
            count = sum(part.strip() not in ("", "self") for part in parts)
            entries[f"{path.stem}.{name}"] = count
    name = max(entries, key=entries.get)
    return entries[name], name


def docstring_lines(node):
    """The lines of the docstring of a module, class or function."""
    has_body = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    if not has_body or ast.get_docstring(node) is None:
        return range(0)
    return range(node.body[0].lineno, node.body[0].end_lineno + 1)


def code_lines(path):
    """Lines with a token that is neither a comment nor a docstring."""
    source, found = path.read_text(), set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            found |= set(range(token.start[0], token.end[0] + 1))
    return len(found.difference(*map(docstring_lines, ast.walk(ast.parse(source)))))


def functions(paths):
    """Yields (lines without the docstring, parameters without self, name, is public)."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1 - len(docstring_lines(node))
                names = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(argument.arg not in ("self", "cls") for argument in names)
                is_public = not node.name.startswith("_") or node.name == "__init__"
                yield length, count, f"{path.relative_to(ROOT)}:{node.name}", is_public


def main():
    python = files("fastgd/*.py")
    texts = files("*.py", "*.pyi", "*.pyx", "*.pxd", "*.h", "*.md", "*.toml", "Makefile")
    sources = files("fastgd/*.py", "fastgd/*.pyx", "fastgd/*.pxd", "docs/*.md", "README.md")
    others = lines(path for path in python if path.name != "losses.py")
    described = list(functions(python))
    longest = max(described, key=lambda one: one[0])
    widest = max((one for one in described if not one[3]), key=lambda one: one[1])
    unformatted = run("ruff", "format", "--check", ".", check=False).count("Would reformat")
    rows = [
        (f"lines over {LONGEST_LINE}", matching(rf".{{{LONGEST_LINE + 1}}}", lines(texts)), ""),
        ("files that ruff format would change", unformatted, ""),
        ("lines that compare a loss's name", matching(LOSS_NAMES, others), ""),
        ("arguments of a kernel entry", *kernel_arguments()),
        ("lines of Python in fastgd/", sum(map(code_lines, python)), ""),
        ("lines of a function", longest[0], longest[2]),
        ("parameters of a private function", widest[1], widest[2]),
        ("lines of the dialect", matching(DIALECT, lines(sources)), ""),
        ("lines of bench/", len(lines(files("bench/*.py"))), ""),
    ]
    for what, count, where in rows:
        print(f"{what:<40}{count:>7}  {where}".rstrip())


if __name__ == "__main__":
    main()
