"""Named problems, timed side by side on every peer. Run ``python -m bench --list`` in the root of the repository."""
