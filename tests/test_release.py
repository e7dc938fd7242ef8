"""What a release checks before it publishes: tools/changelog.py."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tools" / "changelog.py"
CHANGELOG = """# Changelog

## [Unreleased]

### Fixed

- A thing.

## [1.2.0] - 2030-01-31

### Added

- Another thing.

## [1.1.0] - 2029-01-31 [YANKED]
"""

pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the script is not part of this distribution"
)


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_version_is_read_without_an_import(release):
    assert release.version('import os\n\n__version__ = "1.2.0"\n') == "1.2.0"


def test_notes_are_the_section_of_the_version(release):
    assert release.section(CHANGELOG, "1.2.0") == ("2030-01-31", "### Added\n\n- Another thing.")
    assert release.section(CHANGELOG, "1.1.0") == ("2029-01-31", "")


@pytest.mark.parametrize(
    "tag, version, wrong",
    [
        ("v1.2.0", "1.2.0", []),
        ("1.2.0", "1.2.0", ["tag"]),
        ("v1.2.0", "1.1.0", ["tag"]),
        ("v1.3.0", "1.3.0", ["heading"]),
        ("v1.3.0", "1.2", ["tag", "heading"]),
    ],
)
def test_what_disagrees_is_named(release, tag, version, wrong):
    found = list(release.problems(tag, version, CHANGELOG))
    assert len(found) == len(wrong)
    assert all(word in problem for word, problem in zip(wrong, found, strict=True))


def test_changelog_has_the_form_that_releases_need():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)", text, re.M)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d( \[YANKED\])?", heading)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)", text, re.M)) <= kinds
