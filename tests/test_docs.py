"""The pages in docs/ quote the source: every excerpt must still stand there."""
import re
from pathlib import Path

import pytest

import fastgd

DOCS = Path(__file__).parent.parent / "docs"
HOUSES = Path(fastgd.__file__).parent, Path(__file__).parent
EXCERPTS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, block in enumerate(re.findall(r"```(?:py|cython|c)\n(.*?)```", page.read_text(), re.S))
]


@pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not part of this distribution")
@pytest.mark.parametrize("excerpt", EXCERPTS)
def test_excerpts_stand_in_the_source(excerpt):
    files = (path for house in HOUSES for path in house.rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".h"))
    assert any(excerpt.strip() in path.read_text() for path in files), excerpt
