"""The gallery's scripts run, and the documentation names all that is public."""

import re
import runpy
from pathlib import Path

import pytest

import fastgd

plt = pytest.importorskip("matplotlib.pyplot")
pytest.importorskip("pandas")

DOCS = Path(__file__).parent.parent / "docs"
SCRIPTS = sorted((DOCS / "gallery").glob("plot_*.py"))
pytestmark = pytest.mark.skipif(not SCRIPTS, reason="the docs are not part of this distribution")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_page_runs_and_draws(script, monkeypatch):
    """Without a warning, and with something in every figure."""
    drawn = []

    def draw():
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.draw_without_rendering()
            drawn.append(any(ax.has_data() for ax in figure.axes))
        plt.close("all")

    monkeypatch.setattr(plt, "show", draw)
    try:
        runpy.run_path(str(script), run_name="__main__")
        assert drawn and all(drawn)
        assert not plt.get_fignums(), "a figure is not shown"
    finally:
        plt.close("all")


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^   (\w+)$", (DOCS / "api.rst").read_text(), re.M)
    assert sorted(listed) == sorted(set(fastgd.__all__) - {"__version__"}), "docs/api.rst"


def test_every_page_is_reachable():
    """From the index, by the tables of contents."""
    pages = {path.stem for path in DOCS.glob("*.md")} | {path.stem for path in DOCS.glob("*.rst")}
    listed = {
        name
        for page in DOCS.glob("*.md")
        for block in re.findall(r"```\{toctree\}(.*?)```", page.read_text(), re.S)
        for name in re.findall(r"^(?:.+ <)?([\w-]+)>?$", block, re.M)
    }
    assert pages - listed == {"index"}, "docs/internals.md"
