"""Hostile calls of every public entry point, and damaged files.

`cases` draws them, with `costs`, `searches` and `files`; `judge` says what is wrong with each;
`workers` runs them in watched processes.
From the root of the sources: ``make fuzz FUZZ_N=10000``, or ``PYTHONPATH=tests python -m fuzz``.
"""
