"""One supervisor per folder: a lock that the kernel lets go of when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fitstream.errors import Halted


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Holds the folder while the block runs; raises Halted naming the process that has it."""
    with (folder / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            text = (
                f"another `fitstream up` (process {holder}) runs on {folder}:"
                f" stop it with `fitstream down --data {folder}`, or use another folder"
            )
            raise Halted(text) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
