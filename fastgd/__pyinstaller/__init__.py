"""Hooks for PyInstaller, which the entry point in pyproject.toml leads to."""

from pathlib import Path


def hook_folders():
    """The folders of hooks for PyInstaller."""
    return [str(Path(__file__).parent)]
