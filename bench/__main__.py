"""``python -m bench [COMMAND]``: measure; without a command, time the rows that `--list` shows.

auto         SGD without a rate to choose, beside the best rate in hindsight
accuracy     the time that the named models and their peers take to a given accuracy
compare      a commit: is a quick fit of the working tree slower?
defaults     networks at their default parameters, beside scikit-learn's
everyday     default fits on everyday shapes, beside scikit-learn's and beside busy processes
recommender  cross-validated matrix factorization
scale        fits of data on disk and on a cluster, also beside dask-ml and Spark ML
selection    choosing a model: penalties by cross-validation, generalised linear models
"""

import sys
from importlib import import_module

COMMANDS = (
    "auto", "accuracy", "compare", "defaults", "everyday", "recommender", "scale", "selection",
)  # fmt: skip

if __name__ == "__main__":
    has_command = len(sys.argv) > 1 and sys.argv[1] in COMMANDS
    command, arguments = (sys.argv[1], sys.argv[2:]) if has_command else ("speed", sys.argv[1:])
    sys.exit(import_module(f"bench.{command}").main(arguments))
