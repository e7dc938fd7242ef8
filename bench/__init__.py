"""The benchmark: fastgd beside its peers. It evaluates every model itself, from the coefficients.

data.py        the data sets, by name          problems.py   the problems, by name
runner.py      times one row                   report.py     what the commands share
peers/         one file a peer                 optimum.py    F* of a problem, with its certificate

Commands: speed.py (`python -m bench`), accuracy.py, auto.py (with hindsight.py and diagnostics.py),
defaults.py, recommender.py; and the scripts demo.py and plot.py. A new command is a file with
`main(arguments)` and a line in __main__.py. Imports run one way: objective and data, problems,
peers, then optimum and runner, then report, then the commands.
"""
