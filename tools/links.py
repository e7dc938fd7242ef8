"""Whether the links of built pages lead somewhere: pages, files and headings. No network is needed.

`python tools/links.py PAGES`, where PAGES is a folder of HTML files; `make docs` calls it. Prints
the links that lead nowhere, and ends with 1 if there are any.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The `links` of a page, and the `names` that links to it may end with."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names = [], {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        anchors = ("id", "name") if tag == "a" else ("id",)
        self.names |= {found[key] for key in anchors if found.get(key)}
        self.links += [found[key] for key in ("href", "src") if found.get(key)]


def broken(folder):
    """Yields (page, link) of links that lead nowhere. The theme's own files are left out."""
    folder = folder.resolve()
    names = (path.relative_to(folder) for path in folder.rglob("*.html"))
    pages = {folder / name: Page(folder / name) for name in names if "_static" not in name.parts}
    if not pages:
        sys.exit(f"{folder} has no pages")
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            is_there = target.is_relative_to(folder) and target.exists()
            if is_there and target in pages:
                is_there = unquote(parts.fragment) in pages[target].names
            if not is_there:
                yield path.relative_to(folder), link


def main():
    found = [f"{page}: {link} leads nowhere" for page, link in broken(Path(sys.argv[1]))]
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
