"""Run the README's Python blocks as tests; draw without a screen."""

import os

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

os.environ.setdefault("MPLBACKEND", "Agg")

collect_ignore_glob = [
    "docs/*.py"
]  # Sphinx's settings and the gallery, which tests/test_gallery.py runs

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/guide/*.md"],
).pytest()
