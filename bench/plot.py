"""Draw the results of `python -m bench`: ``python -m bench.plot bench/results/latest.json [PNG]``.

With ``--readme``: the main rows only, into docs/images/speed.png. ``--keep`` writes what this plot
needs to results/reference.json.
"""

import argparse
import json
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

SPEED = Path(__file__).parent.parent / "docs" / "images" / "speed.png"
REFERENCE = Path(__file__).parent / "results" / "reference.json"
COLOURS = {
    "numpy": "#4c78a8",
    "scikit-learn": "#f58518",
    "torch": "#e45756",
    "vowpalwabbit": "#54a24b",
    "snapml": "#b279a2",
}
CAVEATS = {"snapml": "snapml (epochs of its own method)"}
OTHER_COLOURS = ["#9d755d", "#72b7b2", "#eeca3b"]
# (problem, shuffled, "one" or "all" threads) -> label: the rows of the README's plot
MAIN = {
    ("sgd-logistic", True, "one"): "SGD, logistic, 10 000 × 100",
    ("sgd-squared", True, "one"): "SGD, squared error, 10 000 × 100",
    ("sgd-hinge", True, "one"): "SGD, hinge, 10 000 × 100",
    ("sgd-tall", True, "one"): "SGD, logistic, 1 000 000 × 20",
    ("sgd-fashion", True, "one"): "SGD, logistic, Fashion-MNIST",
    ("sgd-fashion10", True, "one"): "SGD, one-vs-rest, Fashion-MNIST, 10 classes",
    ("sgd-sparse", True, "one"): "SGD, logistic, sparse 200 000 × 100 000",
    ("sgd-sparse-l1", True, "one"): "the same with L1",
    ("sgd-sparse-average", True, "one"): "the same, averaged",
    ("minibatch32-logistic", True, "one"): "Mini-batch 32, logistic, 10 000 × 100",
    ("minibatch256-fashion", True, "one"): "Mini-batch 256, logistic, Fashion-MNIST",
    ("softmax-minibatch256-fashion10", True, "all"):
        "Mini-batch 256, softmax, Fashion-MNIST, all threads",
    ("full-fashion", False, "all"): "Full gradient, logistic, Fashion-MNIST, all threads",
    ("softmax-full-fashion10", False, "all"): "Full gradient, softmax, Fashion-MNIST, all threads",
    ("small-fit", True, "one"): "Whole fit of 100 × 10, 10 epochs",
    ("predict-one-row", None, "one"): "predict on one row of 784",
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser("python -m bench.plot", description="Draw results.")
    parser.add_argument("source", type=Path, help="JSON file that python -m bench wrote")
    parser.add_argument("target", type=Path, nargs="?", help="PNG (default: beside the JSON)")
    parser.add_argument("--readme", action="store_true", help=f"main rows, into {SPEED.name}")
    parser.add_argument("--keep", action="store_true", help=f"write {REFERENCE.name}")
    options = parser.parse_args()
    default = SPEED if options.readme else options.source.with_suffix(".png")
    report, labels = json.loads(options.source.read_text()), MAIN if options.readme else None
    print(draw(report, options.target or default, labels))
    if options.keep:
        REFERENCE.write_text(json.dumps(main_part(report), indent=1) + "\n")


def main_part(report):
    """The main rows of the results: their conditions, median times and ratios."""
    main = {(problem, shuffled) for problem, shuffled, _ in MAIN}
    rows = [r for r in report["results"] if (r["problem"], r.get("shuffle")) in main]
    conditions = ("problem", "unit", "rows", "columns", "dtype", "sparse", "shuffle", "threads")
    kept = []
    for row in rows:
        peers = {
            name: {key: round(summary[key], 9) for key in ("median", "ratio") if key in summary}
            for name, summary in row["peers"].items()
        }
        kept.append({key: row[key] for key in conditions if key in row} | {"peers": peers})
    names = ("cpu", "cores", "system", "python", "versions")
    machine = {name: report["machine"][name] for name in names}
    return {"machine": machine, "quick": report["quick"], "results": kept}


def draw(report, path, labels=None):
    """A line a result, a dot a peer: its time over fastgd's. A bar is a goal.

    `labels` chooses the lines; without it, all are drawn, with their goals.
    """
    rows = _chosen(report, labels)
    height = 1.9 + (0.38 if labels else 0.28) * len(rows)
    figure = Figure(figsize=(9.5, height), layout="constrained")
    ax = figure.subplots()
    shown = dict.fromkeys(name for _, summaries in rows for name in summaries)
    colours = {name: COLOURS[name] for name in COLOURS if name in shown}
    others = [name for name in shown if name not in COLOURS]
    colours |= dict(zip(others, cycle(OTHER_COLOURS), strict=False))
    for position, (_, summaries) in enumerate(rows):
        _dots(ax, position, summaries, colours, with_goals=not labels)
    for name, colour in colours.items():
        ax.plot([], [], "o", color=colour, label=CAVEATS.get(name, name))
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xscale("log")
    ax.margins(x=0.08)
    left = min(ax.get_xlim()[0], 0.8)
    ax.axvspan(left, 1, color="#e45756", alpha=0.10, linewidth=0, label="fastgd loses")
    ax.set_xlim(left)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9 if labels else 8)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("median time, peer / fastgd (log scale; right of 1 fastgd is faster)")
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    caveat = " (quick: says nothing about speed)" if report["quick"] else ""
    machine = f"{report['machine']['cpu']}, {report['machine']['cores']} cores"
    ax.set_title(f"fastgd beside its peers{caveat}\n{machine}")
    figure.legend(loc="outside lower center", ncols=len(colours) + 1, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _chosen(report, labels):
    """(label, {peer: its summary, with a ratio}) of each line, in the order of `labels`."""
    lines = {}
    for result in report["results"]:
        summaries = {
            name: summary for name, summary in result["peers"].items() if "ratio" in summary
        }
        if summaries:
            threads = "one" if result.get("threads", 1) == 1 else "all"
            lines[result["problem"], result.get("shuffle"), threads] = (_label(result), summaries)
    if labels is None:
        return list(lines.values())
    if report["machine"]["cores"] == 1:  # where one thread is all threads
        lines |= {(*key[:2], "all"): line for key, line in lines.items()}
    return [(label, lines[key][1]) for key, label in labels.items() if key in lines]


def _label(result):
    order = {True: ", shuffled", False: ", in order", None: ""}[result.get("shuffle")]
    count = result.get("threads")
    return f"{result['problem']}{order}" + (f", {count} thread{'s' * (count > 1)}" if count else "")


def _dots(ax, position, summaries, colours, with_goals):
    """The dots of one line, the numbers by turns above and below where they would touch."""
    previous, above = 0.0, True
    for name, summary in sorted(summaries.items(), key=lambda item: item[1]["ratio"]):
        ratio = summary["ratio"]
        above = not above if ratio < 1.5 * previous else True
        ax.plot(ratio, position, "o", color=colours[name])
        offset, place = (0, 4 if above else -10), {"textcoords": "offset points", "ha": "center"}
        ax.annotate(f"{ratio:.3g}", (ratio, position), offset, fontsize=6.5, **place)
        if with_goals and "goal" in summary:
            ends = [position - 0.35, position + 0.35]
            ax.plot([summary["goal"]] * 2, ends, color=colours[name], linewidth=2)
        previous = ratio


if __name__ == "__main__":
    main()
