"""The picture of `python -m bench scale picture`: time of a fit against the number of machines."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench import cluster

PATH = Path(__file__).parent.parent / "docs" / "images" / "machines.png"
SIZES = {"10 GB": 1e10, "100 GB": 1e11, "1 TB": 1e12, "10 TB": 1e13, "100 TB": 1e14, "1 PB": 1e15}
MACHINES = 1000
# What is assumed of each machine, and of the one with the client
CORES, MEMORY, NETWORK = 32, 1e12, 1e9  # memory for X in bytes; bytes a second
CLIENT_BYTES = 32  # that the client keeps of each row: see docs/larger.md
TICKS = {
    0.1: "0.1 s",
    1: "1 s",
    10: "10 s",
    60: "1 min",
    600: "10 min",
    3600: "1 h",
    36_000: "10 h",
    864_000: "10 days",
}


def compare():
    """Draw it; yields what it was made of."""
    reason = cluster.missing()
    if not reason and not find_spec("matplotlib"):
        reason = "matplotlib is not installed: left out"
    if reason:
        yield reason
        return
    found = cluster.measure()
    yield cluster.quiet_line(found.others)
    yield str(found.model)
    yield str(draw(found.model, found.large[-1].rounds, found.row_bytes, PATH))


def fit_seconds(model, rounds, row_bytes, rows, machines):
    """By the model, and with the messages on the client's network."""
    return model.seconds(rows, machines, rounds, CORES) + rows * row_bytes / NETWORK


def draw(model, rounds, row_bytes, path):
    """A line for each size of the data, from the fewest machines that hold it. Returns the path."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator

    figure = Figure(figsize=(8, 6.2), layout="constrained")
    ax = figure.subplots()
    for number, (label, size) in enumerate(SIZES.items()):
        rows, fewest = size / (8 * cluster.COLUMNS), max(size / MEMORY, 1)
        machines = np.geomspace(fewest, MACHINES, 200)
        taken = fit_seconds(model, rounds, row_bytes, rows, machines)
        style = {"color": f"C{number}", "linewidth": 2}
        style["linestyle"] = "-" if rows * CLIENT_BYTES <= MEMORY else ":"
        ax.plot(machines, taken, **style)
        ax.plot(machines[0], taken[0], "o", color=style["color"], clip_on=False)
        free = fit_seconds(replace(model, m=0.0), rounds, 0.0, rows, machines)
        ax.plot(machines, free, "--", color=style["color"], linewidth=0.8)
        ax.plot(machines[0], free[0], ".", color=style["color"], clip_on=False)
        place = {"textcoords": "offset points", "va": "center", "color": style["color"]}
        ax.annotate(label, (MACHINES, taken[-1]), (8, 0), **place)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(0.9, MACHINES)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks([*TICKS], TICKS.values())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("machines")
    ax.set_ylabel("predicted time of a fit")
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"Logistic regression, {cluster.COLUMNS} columns of float64, by fastgd.dask")
    figure.text(0.01, -0.01, caption(model, rounds, row_bytes), fontsize=8, va="top")
    figure.savefig(path, dpi=130, bbox_inches="tight")
    return path


def caption(model, rounds, row_bytes):
    """What the picture assumes."""
    return (
        f"{model} for R = {rounds} rounds, n rows and W workers, "
        "measured on one and two\n"
        f"workers of one core, with {cluster.PARTITION} rows a partition. "
        f"Predicted for W machines of {CORES} cores: x / {CORES}, each core as fast as that one.\n"
        f"Messages are added: {row_bytes:.0f} bytes a row and fit, at {NETWORK / 1e9:g} GB/s, the "
        "client's network.\n"
        f"A line begins (dot) with the fewest machines that hold X, {MEMORY / 1e12:g} TB in each. "
        f"It is dotted where the client, at {CLIENT_BYTES} bytes\na row, needs more memory than "
        "that. Dashed: without the client's work and messages for each row."
    )
