"""The folder of PyInstaller hooks, which an entry point in pyproject.toml names."""

from pathlib import Path


def hook_folders():
    """The folders of hooks for PyInstaller."""
    return [str(Path(__file__).parent)]
