"""Write the tables of measurements into README.md and docs/guide/benchmarks.md.

    python -m bench.pages [FILE]

They are made of results/reference.json (`python -m bench.plot`) and results/everyday.json, and
stand between `<!-- measured: NAME -->` and `<!-- end -->`. FILE, which `python -m bench everyday
defaults` has written, first becomes results/everyday.json.
"""

import argparse
import json
import re
import statistics
from datetime import date
from pathlib import Path

from bench.plot import COLOURS, MAIN, REFERENCE

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "README.md", ROOT / "docs" / "guide" / "benchmarks.md"
EVERYDAY = REFERENCE.with_name("everyday.json")
SHAPES = {  # in the head of the table
    "100x10": "100 × 10",
    "2000x20": "2000 × 20",
    "300x5000": "300 × 5000",
    "1000x1000": "1000 × 1000",
    "100000x10": "100 000 × 10",
    "20000x300": "20 000 × 300",
    "5000x30-unscaled": "5000 × 30, unscaled",
    "csr-20000x50000": "20 000 × 50 000, sparse",
    "csr-2000x200000": "2000 × 200 000, sparse",
}
MODELS = {
    "Ridge-5": "`Ridge`, 5 targets",
    "Logistic-C100": "`LogisticRegression`, C=100",
    "Logistic-3": "`LogisticRegression`, 3 classes",
}


def main():
    parser = argparse.ArgumentParser("python -m bench.pages", description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", help="what bench everyday has written")
    source = parser.parse_args().source
    if source:
        EVERYDAY.write_text(source.read_text())
    for page in PAGES:
        page.write_text(written(page.read_text()))
        print(page)


def written(text):
    """A page with its tables made anew."""

    def table(found):
        name = found[1]
        return f"<!-- measured: {name} -->\n\n" + "\n".join(TABLES[name]()) + "\n\n<!-- end -->"

    return re.sub(r"<!-- measured: (\S+) -->\n.*?<!-- end -->", table, text, flags=re.S)


def speed():
    """A line for each row of the picture, a column for each peer."""
    report = json.loads(REFERENCE.read_text())
    labels = {problem: label for (problem, _), label in MAIN.items()}
    yield from _head([measured(report["machine"]), *COLOURS], "---:")
    for result in report["results"]:
        ratios = [result["peers"].get(peer, {}).get("ratio") for peer in COLOURS]
        cells = ["" if ratio is None else _shown(ratio) for ratio in ratios]
        yield _line([labels[result["problem"]], *cells])


def everyday():
    """A line for each model, a column for each shape."""
    report = json.loads(EVERYDAY.read_text())
    rows = {(row["model"], row["shape"]): row for row in report["results"]}
    yield from _head([measured(report["machine"]), *SHAPES.values()], "---:")
    for model in dict.fromkeys(model for model, _ in rows):
        cells = [_shown(rows[model, shape]["ratio"]) for shape in SHAPES]
        yield _line([_model(model), *cells])


def everyday_summary():
    """The median, the best, what most people fit, and all fits with a ratio below 0.95."""
    report = json.loads(EVERYDAY.read_text())
    ratios = {(row["model"], row["shape"]): row["ratio"] for row in report["results"]}
    best = sorted(ratios, key=ratios.get)[:-3:-1]
    yield from _head([measured(report["machine"]), "scikit-learn's time over fastgd's"], "---")
    yield _line([f"median of {len(ratios)} fits", _shown(statistics.median(ratios.values()))])
    yield _line([f"best: {', '.join(map(_fit, best))}", _list(ratios[key] for key in best)])
    for models, shape in (
        (("Ridge", "Lasso", "LogisticRegression"), "2000x20"),
        (("Ridge", "Lasso", "ElasticNet"), "1000x1000"),
    ):
        keys = [(model, shape) for model in models]
        yield _of_shape("", keys, ratios)
    for shape in SHAPES:
        keys = [key for key in ratios if key[1] == shape and ratios[key] < 0.95]
        if keys:
            yield _of_shape("slower: ", keys, ratios)


TABLES = {"speed": speed, "everyday": everyday, "everyday-summary": everyday_summary}


def measured(machine):
    """Where and when."""
    day = date.fromisoformat(machine["date"])
    return f"{machine['cpu']}, {machine['cores']} cores, {day.day} {day:%B %Y}"


def _model(name):
    return MODELS.get(name, f"`{name}`")


def _fit(key):
    return f"{_model(key[0])} on {SHAPES[key[1]]}"


def _of_shape(start, keys, ratios):
    """A line for several models on one shape."""
    models = ", ".join(_model(model) for model, _ in keys)
    return _line([f"{start}{models} on {SHAPES[keys[0][1]]}", _list(ratios[key] for key in keys)])


def _list(ratios):
    return ", ".join(map(_shown, ratios))


def _shown(ratio):
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.0f}"


def _head(titles, alignment):
    """The head of a table; all columns but the first have this alignment."""
    yield _line(titles)
    yield _line(["---", *[alignment] * (len(titles) - 1)])


def _line(cells):
    """No line break inside of numbers and sizes."""
    return re.sub(
        r"(?<=\d) (?=[\d×])|(?<=×) (?=\d)", "\N{NO-BREAK SPACE}", f"| {' | '.join(cells)} |"
    )


if __name__ == "__main__":
    main()
