"""Hostile fits over every public entry point.

`cases` draws them, `judge` says what is wrong with each, `workers` runs them in watched processes.
From the root of the sources: ``make fuzz FITS=10000``, or ``PYTHONPATH=tests python -m fuzz``.
"""
