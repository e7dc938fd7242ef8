"""``python -m bench [COMMAND]``: measure; without a command, time the rows that `--list` shows.

auto         SGD without a rate to choose, beside the best rate in hindsight
accuracy     the time that the named models and their peers take to a given accuracy
defaults     networks at their default parameters, beside scikit-learn's
recommender  cross-validated matrix factorization
"""

import sys
from importlib import import_module

COMMANDS = ("auto", "accuracy", "defaults", "recommender")


def main(arguments):
    command, rest = "speed", arguments
    if arguments and arguments[0] in COMMANDS:
        command, *rest = arguments
    return import_module(f"bench.{command}").main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
