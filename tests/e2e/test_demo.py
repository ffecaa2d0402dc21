"""The demo as a person runs it, on a small file: it proves its counts; Ctrl-C leaves nothing."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGINT

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import clean_environ

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
WEARERS, DAYS = 3, 24


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demo's data lies; not below pytest's own, which nobody else may pass through."""
    made = Path(tempfile.mkdtemp(prefix="fitstream-demo-"))
    made.chmod(0o711)
    yield made / "data"
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A few wearers with the columns of the real file that the demo's targets need."""
    rng = np.random.default_rng(1)
    start = datetime(2015, 3, 2)  # noqa: DTZ001  local wall time
    local = [start + timedelta(minutes=15 * i) for i in range(96 * DAYS)]
    steps = rng.poisson(80, len(local) * WEARERS).astype(float)
    table = {
        "wearer": [number for number in range(WEARERS) for _ in local],
        "slot_local": local * WEARERS,
        "steps": steps,
        "calories_kcal": 15 + steps / 20,
        "wear_day": [True] * len(steps),
    }
    pq.write_table(pa.table(table), tmp_path / "few.parquet")
    return tmp_path / "few.parquet"


@asynccontextmanager
async def demo(folder: Path, file: Path, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fitstream", "demo", "--data", str(folder), "--file", str(file)),
        *more,
        env=clean_environ(FITSTREAM_TRAIN_BUDGET_S="8"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def left_of(folder: Path) -> list[str]:
    """Command lines that still name the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in words and process.pid != os.getpid():
            found.append(words)
    return found


async def test_the_table_is_shown_the_counts_agree_and_nothing_keeps_running(
    folder: Path, file: Path
) -> None:
    async with demo(folder, file, "--exit") as process:
        output, _ = await process.communicate()
    said = output.decode()
    assert process.returncode == 0, said[-4000:]
    hops = (
        "posted", "accepted", "rejected", "Kafka records", "ledger rows", "weeks", "versions",
        "S3 objects", "training runs", "models", "forecasts", "yesterday again",
        "All counts agree.", "/admin", "@demo.fitstream.invalid",
    )  # fmt: skip
    assert [hop for hop in hops if hop not in said] == []
    assert f"{WEARERS * DAYS * 96:,}" in said
    assert left_of(folder) == []


async def test_ctrl_c_stops_everything(folder: Path, file: Path) -> None:
    async with demo(folder, file) as process:
        assert process.stdout is not None
        while b"rows accepted" not in await process.stdout.readline():
            assert process.returncode is None
        process.send_signal(SIGINT)
        output, _ = await asyncio.wait_for(process.communicate(), 40)
    assert b"stopping everything" in output
    assert b"Traceback" not in output
    assert process.returncode == 1, "it never came to its table"
    assert left_of(folder) == []
