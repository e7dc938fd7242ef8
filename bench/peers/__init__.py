"""One file a peer, each with one function.

    prepare(problem, X, y, shuffle, threads) -> train

`train(epochs)` is what is timed: it makes that many epochs from zeros and returns (coef, intercept), (K, p) and (K,).
`prepare` raises UnsupportedError, with the reason, where the peer cannot do the problem.
"""

from importlib import import_module, metadata

MODULES = {"fastgd": "fastgd", "numpy": "pure_numpy", "scikit-learn": "scikit_learn", "torch": "torch",
           "vowpalwabbit": "vowpal_wabbit", "snapml": "snap_ml"}  # fmt: skip


class UnsupportedError(Exception):
    """The peer has no such method; the message says what is missing."""


def load(names=None):
    """(peers, notes): name -> prepare for each peer that is installed, and a line for each that is not."""
    peers, notes = {}, []
    for name in names or MODULES:
        try:
            peers[name] = import_module(f"bench.peers.{MODULES[name]}").prepare
        except ImportError as error:
            notes.append(f"{name}: skipped, {error}")
    return peers, notes


def versions():
    """Version of each installed peer."""
    found = {}
    for name in MODULES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
