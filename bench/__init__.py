"""The benchmark: fastgd beside its peers. It evaluates every model itself, from the coefficients.

A command is a file with `main(arguments)` and a line in __main__.py; demo.py, plot.py and house.py
are scripts. Imports run one way: timing, objective and data, catalogue (the problems and rows by
name), peers (one file each), then runner (how a row is timed), optimum (F* of a problem, with its
certificate) and report (what the commands share), then the commands.
"""
