"""The lines of the kernels that tests have run, from gcov's counters of the generated C.

    python tools/gcov.py BUILD LEAST   BUILD has the objects of a build with FASTGD_COVERAGE=1

Cython marks each statement of C by a comment with the file and line of the source. A line counts as
run if one of its statements has run in any module or specialisation; headers count by themselves.
Prints the share of each file, and the longest stretches of lines that have not run. Ends with 1 if
the share of all is below LEAST per cent.
"""

import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

MARK = re.compile(r'^\s*/\* "(?:fastgd/kernels/)?(\w+\.p(?:yx|xd))":(\d+)$')
SHOWN = 25  # stretches


def marks_of(path):
    """[(file, line) of each line of a generated C file]; None before the first mark."""
    here, places = None, []
    for text in Path(path).read_text(errors="replace").splitlines():
        found = MARK.match(text)
        here = (found[1], int(found[2])) if found else here
        # What follows the function's statements is Cython's own.
        here = None if text.startswith("}") else here
        places.append(here)
    return places


def counts(build):
    """{file: {line: how often it has run}} of sources and headers."""
    found, marks = defaultdict(lambda: defaultdict(int)), {}
    for counters in sorted(Path(build).resolve().rglob("*.gcno")):
        with tempfile.TemporaryDirectory() as folder:
            command = ["gcov", "--json-format", str(counters)]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            reports = [
                json.loads(gzip.decompress(path.read_bytes())) for path in Path(folder).glob("*.gz")
            ]
        for file in (file for report in reports for file in report["files"]):
            name = file["file"]
            if name.endswith(".h") and "fastgd/kernels/" in name:
                for line in file["lines"]:
                    found[Path(name).name][line["line_number"]] += line["count"]
            elif name.startswith("build/cython/fastgd") and not name.endswith("_cyutility.c"):
                marks.setdefault(name, marks_of(name))
                for line in file["lines"]:
                    place = marks[name][line["line_number"] - 1]
                    if place and not place[0].startswith("_cyutility"):
                        found[place[0]][place[1]] += line["count"]
    return found


def main(build, least):
    total = ran = 0
    stretches = []
    for name, lines in sorted(counts(build).items()):
        own = sum(count > 0 for count in lines.values())
        total, ran = total + len(lines), ran + own
        print(f"{name:<28}{own:6} of {len(lines):5} lines  {100 * own / len(lines):6.1f} %")
        stretch = []
        for line, count in [*sorted(lines.items()), (None, 1)]:
            if count:
                if stretch:
                    stretches.append((len(stretch), name, stretch[0], stretch[-1]))
                stretch = []
            else:
                stretch.append(line)
    share = 100 * ran / max(total, 1)
    print(f"kernels: {ran} of {total} lines, {share:.1f} %; the longest gaps:")
    for size, name, begin, end in sorted(stretches, reverse=True)[:SHOWN]:
        print(f"  {name}:{begin}-{end}  {size} lines")
    if share < float(least):
        sys.exit(f"fewer than {least} % of the kernels' lines have run")


if __name__ == "__main__":
    main(*sys.argv[1:])
