"""Draw a JSON of results: ``python -m bench.plot bench/results/latest.json [PNG]``."""

import json
import sys
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

COLOURS = {"numpy": "#4c78a8", "scikit-learn": "#f58518"}
OTHERS = ["#54a24b", "#b279a2", "#9d755d", "#e45756"]


def draw(report, path):
    """A line a result, a dot a peer: its time over fastgd's; a bar is a goal. Returns `path`."""
    results = [result for result in report["results"] if any("ratio" in entry for entry in result["peers"].values())]
    figure = Figure(figsize=(9.5, 1.9 + 0.28 * len(results)), layout="constrained")
    ax = figure.subplots()
    colours = COLOURS | dict(zip(_others(results), cycle(OTHERS), strict=False))
    for position, result in enumerate(results):
        for name, entry in result["peers"].items():
            if "ratio" in entry:
                _dot(ax, position, entry, colours[name])
    for name, colour in colours.items():
        ax.plot([], [], "o", color=colour, label=name)
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xscale("log")
    ax.margins(x=0.08)
    left = ax.get_xlim()[0]
    ax.axvspan(left, 1, color="#e45756", alpha=0.10, linewidth=0, label="fastgd loses")
    ax.set_xlim(left)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(results)), [_label(result) for result in results], fontsize=8)
    ax.set_ylim(len(results) - 0.4, -0.6)
    ax.set_xlabel("median time of the peer / of fastgd (log scale; right of 1 fastgd is faster)")
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    caveat = " (quick: says nothing about speed)" if report["quick"] else ""
    ax.set_title(f"fastgd beside its peers{caveat}\n{report['machine']['cpu']}, {report['machine']['cores']} cores")
    figure.legend(loc="outside lower center", ncols=len(colours) + 1, frameon=False)
    figure.savefig(path, dpi=150)
    return path


def _dot(ax, position, entry, colour):
    ratio = entry["ratio"]
    ax.plot(ratio, position, "o", color=colour)
    ax.annotate(f"{ratio:.3g}", (ratio, position), (0, 4), textcoords="offset points", ha="center", fontsize=6.5)
    if "goal" in entry:
        ax.plot([entry["goal"]] * 2, [position - 0.35, position + 0.35], color=colour, linewidth=2)


def _others(results):
    names = dict.fromkeys(name for result in results for name in result["peers"])
    return [name for name in names if name not in COLOURS and name != "fastgd"]


def _label(result):
    order = "shuffled" if result["shuffle"] else "in order"
    return f"{result['problem']}, {order}, {result['threads']} thread{'s' if result['threads'] > 1 else ''}"


if __name__ == "__main__":
    source = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else source.with_suffix(".png")
    print(draw(json.loads(source.read_text()), target))
