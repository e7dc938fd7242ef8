"""What PyInstaller needs to know to freeze programs that use fastgd; the entry point of pyproject.toml leads here."""
from pathlib import Path


def hook_folders():
    """The folders of hooks for PyInstaller."""
    return [str(Path(__file__).parent)]
