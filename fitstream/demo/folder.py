"""The demo's folder: made anew at each run, and never somebody else's."""

import secrets
import shutil
from pathlib import Path

import msgspec

from fitstream.errors import Halted
from fitstream.stack.folder_lock import locked_folder
from fitstream.stack.secrets_file import write_private

MARK = "demo.json"
_KEPT = ("ports.json", MARK)  # a second demo has the first one's addresses, and knows itself


def fresh_folder(folder: Path) -> None:
    """Empties the folder of an earlier demo, or makes one.

    Raises Halted for a folder that holds something else, or in which a stack is running.
    """
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    known = [path for path in folder.iterdir() if path.name != "up.lock"]
    if known and not (folder / MARK).exists():
        text = f"{folder} holds something that is no demo: name an empty folder with --data"
        raise Halted(text)
    with locked_folder(folder):
        for path in known:
            if path.name in _KEPT:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_private(folder / MARK, msgspec.json.encode({}))


class Logins:
    """Logins of the demo's customers, kept beside the data they belong to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MARK
        self.passwords: dict[str, str] = {}

    def make(self, email: str) -> str:
        """A new password for an address."""
        self.passwords[email] = secrets.token_urlsafe(12)
        write_private(self.path, msgspec.json.format(msgspec.json.encode(self.passwords)))
        return self.passwords[email]
