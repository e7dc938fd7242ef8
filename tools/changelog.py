"""``check TAG``: whether a tag, fastgd.__version__ and the changelog name the same release.
``notes``: that version's section of the changelog.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def version(text):
    """The version in the text of fastgd/__init__.py, which need not be built."""
    return re.search(r'^__version__ = "(.+)"$', text, re.M)[1]


def section(changelog, name):
    """The (date, text) of a version's section; None where it is missing or has no date."""
    heading = rf"^## \[{re.escape(name)}\] - (\d{{4}}-\d\d-\d\d)(?: \[YANKED\])?\n(.*?)(?=^## |\Z)"
    found = re.search(heading, changelog, re.M | re.S)
    return found and (found[1], found[2].strip())


def problems(tag, name, changelog):
    """What is wrong with a release, in sentences."""
    if tag != f"v{name}":
        yield f"the tag is {tag!r}, but fastgd.__version__ is {name!r}: tag v{name}"
    if not section(changelog, name):
        yield f"CHANGELOG.md has no heading '## [{name}] - YYYY-MM-DD'"


def main(command, *arguments):
    name = version((ROOT / "fastgd" / "__init__.py").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if command == "check":
        return "\n".join(problems(*arguments, name, changelog)) or None
    found = section(changelog, name)
    if found is None:
        return f"CHANGELOG.md has no heading '## [{name}] - YYYY-MM-DD'"
    print(found[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
