"""Processes that a killed supervisor may have left: ended before a new one takes over."""

import os
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

from fitstream.errors import NotFound
from fitstream.stack.run_file import RunFile, read_run_file
from fitstream.stack.supervisor import start_time

_WAIT_S = 10.0
_SAME_START_S = 1.0


def living(run: RunFile) -> dict[str, int]:
    """Process ids of `run` that still belong to the processes they were given to."""
    found = {}
    for name, pid in run.pids.items():
        began = start_time(pid)
        if began is not None and abs(began - run.started.get(name, 0.0)) < _SAME_START_S:
            found[name] = pid
    return found


def end_leftovers(folder: Path) -> list[str]:
    """Ends what is left of the last stack on `folder`; the names of what was."""
    try:
        run = read_run_file(folder)
    except NotFound:
        return []
    left = living(run)
    for pid in left.values():
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)
    deadline = time.monotonic() + _WAIT_S
    while living(run) and time.monotonic() < deadline:
        time.sleep(0.05)
    return sorted(left)
