"""A full disk under one service or all: devices are told, and all goes on when there is room."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest
from aiohttp import ClientSession

from fitstream.client import open_client
from fitstream.errors import Unavailable
from fitstream.stack.control import status
from fitstream.stack.run_file import RunFile, read_run_file
from tests.conftest import QUICK, clean_environ
from tests.real import (
    Wearer,
    day_of_samples,
    eventually,
    last_monday,
    ledger_of,
    new_wearer,
    wait_for_rows,
)

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
MONDAY = last_monday()
EVERYTHING = "everything"
POSTS = 2000  # some 6 KB each: more than a broker keeps to itself
SIZE_MB = {"kafka": 160, "postgres": 400, EVERYTHING: 700}


def mounted(folder: Path, size_mb: int) -> bool:
    """Whether a small file system could be mounted there; only root may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0711", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


@pytest.fixture(params=["kafka", "postgres", EVERYTHING])
def small_disk(request: pytest.FixtureRequest) -> Iterator[tuple[Path, RunFile]]:
    """A stack with one service, or all of it, on a small disk; the disk and the addresses."""
    folder = Path(tempfile.mkdtemp(prefix="fitstream-full-"))
    folder.chmod(0o711)
    disk = folder if request.param == EVERYTHING else folder / request.param
    disk.mkdir(exist_ok=True)
    if not mounted(disk, SIZE_MB[request.param]):
        shutil.rmtree(folder)
        pytest.skip("not run: mounting a small disk needs root")
    process = subprocess.Popen(
        [sys.executable, "-m", "fitstream", "up", "--data", str(folder)],
        env=clean_environ(**QUICK),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(folder)
        yield disk, read_run_file(folder)
    finally:
        process.terminate()
        process.wait(30)
        subprocess.run(["umount", "-l", str(disk)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not (folder / "run.json").exists():
        assert time.monotonic() < deadline, "the stack did not start"
        time.sleep(0.2)


def fill(disk: Path) -> Path:
    """Takes all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
                file.flush()
        except OSError:
            return filler


async def test_a_full_disk_is_503_and_nothing_acknowledged_is_lost(
    small_disk: tuple[Path, RunFile],
) -> None:
    disk, run = small_disk
    is_whole = (disk / "kafka").is_dir()
    assert run.admin is not None
    async with (
        open_client(run.gateway, run.admin.api_key) as admin,
        ClientSession(run.gateway) as http,
    ):

        async def is_ready() -> bool:
            return await admin.server_time() is not None

        await eventually(is_ready, 90)
        wearer = await new_wearer(admin)
        await wearer.post(day_of_samples(MONDAY))
        await wait_for_rows(wearer, 96, 120)
        filler = fill(disk)
        if is_whole:
            await _restart_without_room(run)
        acknowledged = {0: 0}
        is_refused = await _post_until_refused(http, wearer, acknowledged)
        if disk.name == "kafka" or is_whole:
            assert is_refused, "a full disk under Kafka must be told"
        else:  # a device need not hear of it: Kafka keeps what the ledger cannot
            assert is_refused or not await _holds(wearer, acknowledged), "the disk was not felt"
        filler.unlink()

        async def takes_posts() -> bool:
            rows = [{"slot": row["slot"], "steps": 7, "rev": 1} for row in day_of_samples(MONDAY)]
            return (await wearer.post(rows)).accepted == 96

        await eventually(takes_posts, 120)

        await eventually(lambda: _holds(wearer, acknowledged), 120)
    if is_whole:
        await eventually(partial(_is_complete, disk), 60)


async def _restart_without_room(run: RunFile) -> None:
    """Processes end and are started again while not even the run file can be written."""
    for name in ("ledger", "roller"):
        os.kill(run.pids[name], SIGKILL)
    await asyncio.sleep(2)
    assert psutil.pid_exists(run.supervisor)


async def _is_complete(folder: Path) -> bool:
    """Whether the same supervisor has every process alive, and the run file says so."""
    found = await asyncio.to_thread(status, folder)
    return found.is_up and found.ready and not found.ended


async def _holds(wearer: Wearer, acknowledged: dict[int, int]) -> bool:
    """Whether each slot has the newest version that was acknowledged; one refused may be there."""
    try:
        rows = await ledger_of(wearer)
    except Unavailable:
        return False
    held = {datetime.fromisoformat(row["slot"]): row["rev"] for row in rows}
    return all(
        held.get(MONDAY + timedelta(days=day, minutes=15 * slot), -1) >= rev
        for day, rev in acknowledged.items()
        for slot in range(96)
    )


async def _post_until_refused(
    http: ClientSession, wearer: Wearer, acknowledged: dict[int, int]
) -> bool:
    """Posts the days of a week again and again until one is refused, POSTS at most; notes of each
    day the newest version that was acknowledged. Nothing but 202 and 503 occurs."""
    headers = {"Authorization": f"Bearer {wearer.device.key}"}
    for number in range(1, POSTS):
        day = number % 7
        rows = [row | {"rev": number} for row in day_of_samples(MONDAY + timedelta(days=day))]
        async with http.post("/v1/samples", json=wearer.envelope(rows), headers=headers) as answer:
            assert answer.status in (202, 503), await answer.text()
            if answer.status == 503:
                assert "Retry-After" in answer.headers
                return True
        acknowledged[day] = number
    return False
