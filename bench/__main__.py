"""``python -m bench [COMMAND]``: measure; without a command, time the rows that `--list` shows.

auto         SGD without a rate to choose, beside the best rate in hindsight
accuracy     the time that the named models and their peers take to a given accuracy
defaults     networks at their default parameters, beside scikit-learn's
everyday     default fits on everyday shapes, beside scikit-learn's and beside busy processes
recommender  cross-validated matrix factorization
selection    many penalties on many folds, beside scikit-learn
scale        fits of data on disk and on a cluster
"""

import sys
from importlib import import_module

COMMANDS = ("auto", "accuracy", "defaults", "everyday", "recommender", "scale", "selection")

if __name__ == "__main__":
    has_command = len(sys.argv) > 1 and sys.argv[1] in COMMANDS
    command, arguments = (sys.argv[1], sys.argv[2:]) if has_command else ("speed", sys.argv[1:])
    sys.exit(import_module(f"bench.{command}").main(arguments))
