"""Draw the main rows that `python -m bench` wrote: ``python -m bench.plot FILE.json``.

With ``--readme``: into docs/images/speed.png, and what the plot and the table of
`bench.pages` need into results/reference.json.
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

SPEED = Path(__file__).parent.parent / "docs" / "images" / "speed.png"
REFERENCE = Path(__file__).parent / "results" / "reference.json"
COLOURS = {
    "numpy": "#4c78a8",
    "scikit-learn": "#f58518",
    "torch": "#e45756",
    "snapml": "#b279a2",
}
CAVEATS = {"snapml": "snapml (epochs of its own method)"}
# (problem, "one" or "all" threads) -> label; in shuffled order, where both orders are timed
MAIN = {
    ("sgd-logistic", "one"): "SGD, logistic, 10 000 × 100",
    ("sgd-squared", "one"): "SGD, squared error, 10 000 × 100",
    ("sgd-hinge", "one"): "SGD, hinge, 10 000 × 100",
    ("sgd-tall", "one"): "SGD, logistic, 1 000 000 × 20",
    ("sgd-fashion", "one"): "SGD, logistic, Fashion-MNIST",
    ("sgd-fashion10", "one"): "SGD, one-vs-rest, Fashion-MNIST, 10 classes",
    ("sgd-sparse", "one"): "SGD, logistic, sparse 200 000 × 100 000",
    ("sgd-sparse-l1", "one"): "the same with L1",
    ("sgd-sparse-average", "one"): "the same, averaged",
    ("minibatch32-logistic", "one"): "Mini-batch 32, logistic, 10 000 × 100",
    ("minibatch256-fashion", "one"): "Mini-batch 256, logistic, Fashion-MNIST",
    ("softmax-minibatch256-fashion10", "all"):
        "Mini-batch 256, softmax, Fashion-MNIST, all threads",
    ("full-fashion", "all"): "Full gradient, logistic, Fashion-MNIST, all threads",
    ("softmax-full-fashion10", "all"): "Full gradient, softmax, Fashion-MNIST, all threads",
    ("small-fit", "one"): "Whole fit of 100 × 10, 10 epochs",
    ("predict-one-row", "one"): "predict on one row of 784",
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser("python -m bench.plot", description="Draw the main rows.")
    parser.add_argument("source", type=Path, help="JSON file that python -m bench wrote")
    parser.add_argument("--readme", action="store_true", help=f"{SPEED.name} and {REFERENCE.name}")
    options = parser.parse_args()
    report = main_part(json.loads(options.source.read_text()))
    print(draw(report, SPEED if options.readme else options.source.with_suffix(".png")))
    if options.readme:
        REFERENCE.write_text(json.dumps(report) + "\n")


def main_part(report):
    """What plot and table need: the rows of MAIN, in its order, with their ratios."""
    machine = {name: report["machine"][name] for name in ("cpu", "cores", "date")}
    # of the results that differ in the order alone, the last one: it is in shuffled order
    found = {(result["problem"], result["threads"]): result for result in report["results"]}
    results = []
    for problem, threads in MAIN:
        key = problem, 1 if threads == "one" else machine["cores"]
        if key in found:
            peers = found[key]["peers"].items()
            ratios = {name: {"ratio": round(p["ratio"], 9)} for name, p in peers if "ratio" in p}
            results.append({"problem": problem, "threads": key[1], "peers": ratios})
    return {"machine": machine, "quick": report["quick"], "results": results}


def draw(report, path):
    """A line a result, a dot a peer: its time over fastgd's. Returns the path."""
    machine, labels = report["machine"], {problem: label for (problem, *_), label in MAIN.items()}
    rows = [
        (labels[result["problem"]], {name: peer["ratio"] for name, peer in result["peers"].items()})
        for result in report["results"]
    ]
    figure = Figure(figsize=(9.5, 1.9 + 0.38 * len(rows)), layout="constrained")
    ax = figure.subplots()
    shown = [name for name in COLOURS if any(name in ratios for _, ratios in rows)]
    for position, (_, ratios) in enumerate(rows):
        _dots(ax, position, ratios)
    for name in shown:
        ax.plot([], [], "o", color=COLOURS[name], label=CAVEATS.get(name, name))
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xscale("log")
    ax.margins(x=0.08)
    left = min(ax.get_xlim()[0], 0.8)
    ax.axvspan(left, 1, color="#e45756", alpha=0.10, linewidth=0, label="fastgd loses")
    ax.set_xlim(left)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("median time, peer / fastgd (log scale; right of 1 fastgd is faster)")
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    caveat = " (quick: says nothing about speed)" if report["quick"] else ""
    ax.set_title(f"fastgd beside its peers{caveat}\n{machine['cpu']}, {machine['cores']} cores")
    figure.legend(loc="outside lower center", ncols=len(shown) + 1, frameon=False)
    figure.savefig(path, dpi=150)
    return path


def _dots(ax, position, ratios):
    """The dots of one line, the numbers by turns above and below where they would touch."""
    previous, above = 0.0, True
    for name, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        above = not above if ratio < 1.5 * previous else True
        ax.plot(ratio, position, "o", color=COLOURS[name])
        offset, place = (0, 4 if above else -10), {"textcoords": "offset points", "ha": "center"}
        ax.annotate(f"{ratio:.3g}", (ratio, position), offset, fontsize=6.5, **place)
        previous = ratio


if __name__ == "__main__":
    main()
