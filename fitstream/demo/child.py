"""The demo's stack: `fitstream up` as a child, with waits of seconds where they are minutes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    "FITSTREAM_TRAIN_BUDGET_S": "60",
    "FITSTREAM_ARCHIVE_MAX_AGE_S": "5",
}
_READY = "ready. Administrators"
_START_TIMEOUT_S = 600  # a first start fetches 60 MB of jars
_STOP_TIMEOUT_S = 30


@contextmanager
def running_stack(folder: Path, tell: Callable[[str], None]) -> Iterator[RunFile]:
    """A whole stack on `folder` while the block runs. Raises Halted with its words if it fails."""
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own command
            [sys.executable, "-m", "fitstream", "up", "--data", str(folder)],
            env=os.environ | QUICK,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us; we stop it when we are done
        )
    try:
        _wait_until_ready(folder, process, tell)
        yield read_run_file(folder)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(
    folder: Path, process: "subprocess.Popen[bytes]", tell: Callable[[str], None]
) -> None:
    shown = 0
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        lines = (folder / "up.log").read_text(errors="replace").splitlines()
        for line in lines[shown:]:
            tell(f"  {line}")
        shown = len(lines)
        if any(line.startswith(_READY) for line in lines):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise Halted(f"the stack did not start; its words are above and in {folder}/up.log")
        time.sleep(0.2)
