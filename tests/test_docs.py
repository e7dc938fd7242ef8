"""The pages in docs/ quote the source: every excerpt must still stand there, and what they link to
must be there.
"""

import re
from pathlib import Path

import pytest

import fastgd

DOCS = Path(__file__).parent.parent / "docs"
PAGES = "README.md", "CONTRIBUTING.md"
HOUSES = Path(fastgd.__file__).parent, Path(__file__).parent
EXCERPTS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    if page.name != "adding.md"  # whose blocks are new code: tests/test_adding.py tries them
    for number, block in enumerate(
        re.findall(r"```(?:py|cython|c)\n(.*?)```", page.read_text(), re.S)
    )
]


@pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not part of this distribution")
@pytest.mark.parametrize("excerpt", EXCERPTS)
def test_excerpts_stand_in_the_source(excerpt):
    files = (
        path
        for house in HOUSES
        for path in house.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd", ".h")
    )
    assert any(excerpt.strip() in path.read_text() for path in files), excerpt


@pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not part of this distribution")
@pytest.mark.parametrize(
    "page",
    [*(DOCS.parent / name for name in PAGES), *sorted(DOCS.glob("*.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page):
    """In a clone, as those who read the pages where the source lies follow them."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]
