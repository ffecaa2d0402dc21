"""`fitstream status` and `fitstream down`: looking at and ending the stack on a folder."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM

import msgspec

from fitstream.stack.leftovers import end_leftovers, living
from fitstream.stack.program import answers
from fitstream.stack.run_file import RunFile, read_run_file

_DOWN_TIMEOUT_S = 25.0


class Status(msgspec.Struct, frozen=True):
    """Which processes live, and whether the gateway can do its work."""

    is_up: bool
    ready: bool
    living: dict[str, int]
    ended: list[str]
    run: RunFile


def status(folder: Path) -> Status:
    """The stack on `folder`. Raises NotFound when none was started there."""
    run = read_run_file(folder)
    found = living(run)
    port = int(run.gateway.rpartition(":")[2])
    ready = "gateway" in found and asyncio.run(answers(port)())
    ended = sorted(set(run.pids) - set(found))
    return Status("up" in found, ready, found, ended, run)


def down(folder: Path) -> bool:
    """Ends the stack on `folder` in order; whether there was one. Raises NotFound."""
    run = read_run_file(folder)
    found = living(run)
    if "up" not in found:
        return bool(end_leftovers(folder))
    with suppress(ProcessLookupError):
        os.kill(found["up"], SIGTERM)
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while "up" in living(run) and time.monotonic() < deadline:
        time.sleep(0.1)
    if "up" in living(run):
        with suppress(ProcessLookupError):
            os.kill(found["up"], SIGKILL)
        end_leftovers(folder)
    return True


def shown(found: Status) -> str:
    """The status for a person."""
    lines = [f"{name:<12} process {pid}" for name, pid in sorted(found.living.items())]
    lines += [f"{name:<12} has ended; see {found.run.logs}/{name}.log" for name in found.ended]
    if "gateway" not in found.run.pids:
        lines.append(f"services alone; their addresses are in run.json beside {found.run.logs}")
        return "\n".join(lines)
    lines.append(f"gateway      {found.run.gateway} is {'ready' if found.ready else 'not ready'}")
    lines.append(f"pages        {found.run.pages}")
    return "\n".join(lines)
