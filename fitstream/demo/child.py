"""The demo's stack: `fitstream up` as a child, with waits of seconds where they are minutes.

It is told to stop when the demo ends, however the demo ends.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fitstream.errors import Halted
from fitstream.stack.run_file import RunFile, read_run_file

QUICK = {
    "FITSTREAM_LATE_QUIET_S": "3",
    "FITSTREAM_LATE_MAX_S": "20",
    "FITSTREAM_ROLL_POLL_S": "0.3",
    "FITSTREAM_DISPATCH_POLL_S": "0.3",
    "FITSTREAM_COHORT_QUIET_S": "4",
    "FITSTREAM_COHORT_MAX_S": "30",
    "FITSTREAM_TRAIN_BUDGET_S": "40",
    # To start a process for each of six small candidates takes ten times as long as they do.
    "FITSTREAM_TRAIN_SHARE_FROM_S": "60",
    "FITSTREAM_ARCHIVE_MAX_AGE_S": "5",
    "FITSTREAM_POST_INTERVAL_S": "60",
}
_READY = "ready. Administrators"
_START_TIMEOUT_S = 600.0  # a first start fetches 60 MB of jars
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.2

Tell = Callable[[str], None]


class Child:
    """`fitstream up` on a folder; `run` is its run file once it is ready."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self._folder = folder
        self._process = process

    async def ended(self) -> None:
        """Returns never: raises Halted when the stack ends by itself."""
        code = await self._process.wait()
        raise Halted(f"the stack ended (exit code {code}); see above and {self._folder}/up.log")

    async def ready(self, tell: Tell) -> RunFile:
        """The run file, when everything answers; what the stack says is passed on."""
        shown = 0
        async with asyncio.timeout(_START_TIMEOUT_S):
            while True:
                lines = (self._folder / "up.log").read_text(errors="replace").splitlines()
                for line in lines[shown:]:
                    tell(line)
                shown = len(lines)
                if any(line.startswith(_READY) for line in lines):
                    return read_run_file(self._folder)
                if self._process.returncode is not None:
                    text = "the stack did not start; its words are above and in"
                    raise Halted(f"{text} {self._folder}/up.log")
                await asyncio.sleep(_POLL_S)

    async def stop(self) -> None:
        """Ends the stack in order."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
                return


@asynccontextmanager
async def stack_on(folder: Path) -> AsyncIterator[Child]:
    """A stack on `folder` while the block runs; what is set in the environment wins over QUICK."""
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fitstream.stack.launch"),
            *(str(os.getpid()), str(int(signal.SIGTERM)), "-"),
            *(sys.executable, "-m", "fitstream", "up", "--data", str(folder)),
            env=QUICK | dict(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us; we stop it when we are done
        )
    child = Child(folder, process)
    try:
        yield child
    finally:
        await child.stop()
