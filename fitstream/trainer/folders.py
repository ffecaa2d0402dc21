"""Folders that results go into: looked at before hours are spent on what goes there."""

from pathlib import Path
from tempfile import TemporaryFile

from fitstream.errors import Rejected


def ready_folder(folder: Path) -> None:
    """Makes a folder, with those above it, and tries to write there. Raises Rejected."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        text = f"nothing can be written into {folder} ({error.strerror}); name another with --out"
        raise Rejected("folder_unwritable", text) from error
