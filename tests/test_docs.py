"""The pages in docs/ quote the source: every excerpt must still stand there, and what they link to
must be there. Docstrings describe every parameter, and equal ones in the same words.
"""

import re
from inspect import getdoc, signature
from pathlib import Path

import pytest

import fastgd

DOCS = Path(__file__).parent.parent / "docs"
PAGES = "README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "RELEASING.md", "SECURITY.md"
MARKDOWN = sorted([*DOCS.glob("*.md"), *DOCS.glob("guide/*.md")])
HOUSES = Path(fastgd.__file__).parent, Path(__file__).parent
EXCERPTS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in MARKDOWN
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
    [*(DOCS.parent / name for name in PAGES), *MARKDOWN],
    ids=lambda page: f"{page.parent.name}-{page.name}",
)
def test_links_lead_somewhere(page):
    """In a clone, as those who read the pages where the source lies follow them."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not part of this distribution")
def test_messages_of_the_guide_are_those_of_the_source():
    files = [*HOUSES[0].rglob("*.py"), DOCS.parent / "setup.py"]
    # Strings that are joined over lines, and what is filled in.
    source = re.sub(r'"\s*\n\s*f?"', "", "".join(path.read_text() for path in files))
    source = re.sub(r"\{[^{}]*\}", "...", source)
    messages = re.findall(r"^\| `([^`]+)`", (DOCS / "guide" / "faq.md").read_text(), re.M)
    parts = [part.strip() for message in messages for part in message.split("...")]
    parts = [part for part in parts if len(part) > 10]
    assert len(parts) > 12
    assert not [part for part in parts if part not in source]


@pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are not part of this distribution")
def test_tables_of_measurements_are_those_of_the_results():
    pytest.importorskip("matplotlib")
    from bench import pages

    for page in pages.PAGES:
        text = page.read_text()
        assert "<!-- measured: " in text
        assert pages.written(text) == text, "run `python -m bench.pages`"


# Estimators that share parameters and attributes, and the names whose descriptions differ.
NAMED = (
    "LinearRegression Ridge RidgeClassifier Lasso ElasticNet LogisticRegression LinearSVC LinearSVR"
)
FAMILIES = [
    (
        NAMED,
        "tol max_iter alpha C l1_ratio penalty solver coef_ intercept_ converged_ optimality_ "
        "optimality_kind_ stop_reason_ history_ class_weight",
    ),
    ("RidgeCV RidgeClassifierCV", "scoring alpha_ best_score_ cv_results_ coef_ intercept_"),
    ("SGDClassifier SGDRegressor", "loss learning_rate"),
    ("PoissonRegressor GammaRegressor TweedieRegressor", "optimality_ stop_reason_"),
    ("MLPClassifier MLPRegressor", "solver history_ out_activation_"),
]


def entries(name):
    """The parameters and attributes that a docstring describes, with the descriptions."""
    pattern = r"^(\w[\w, ]*) : .*\n((?: {4}.*\n|\n(?= {4}))+)"
    return {
        one: " ".join(text.split())
        for names, text in re.findall(pattern, getdoc(getattr(fastgd, name)), re.M)
        for one in names.split(", ")
    }


@pytest.mark.parametrize("names, different", FAMILIES)
def test_equal_parameters_are_described_in_equal_words(names, different):
    """Docstrings are literal, as in scikit-learn, so that editors show them too."""
    described = {name: entries(name) for name in names.split()}
    shared = {entry for known in described.values() for entry in known} - set(different.split())
    expected = {"n_jobs"} if "CV" in names else {"max_seconds"}
    assert {"n_iter_", *expected} <= shared
    for entry in shared:
        texts = {known[entry] for known in described.values() if entry in known}
        assert len(texts) == 1, (entry, texts)


OTHERS = "HuberRegressor", "QuantileRegressor", "Perceptron"


@pytest.mark.parametrize("name", [*(n for names, _ in FAMILIES for n in names.split()), *OTHERS])
def test_every_parameter_is_described_in_the_order_of_the_signature(name):
    parameters = list(signature(getattr(fastgd, name)).parameters)
    assert [entry for entry in entries(name) if entry in parameters] == parameters
