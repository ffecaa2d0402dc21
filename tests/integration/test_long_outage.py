"""A broker that is away for long: the gateway's memory stays bounded, nothing is acknowledged that
Kafka does not have, and afterwards there is no storm.

A gateway of its own on the running services, under more load than a fleet would make. The short
run is part of every test run; the ten minutes are on demand.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP
from typing import Any, NamedTuple

import psutil
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout

from fitstream.client import Client
from tests.conftest import RunningStack, clean_environ
from tests.real import Wearer, day_of_samples, eventually, last_monday, ledger_of, new_wearer

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
MONDAY = last_monday()
_MB = 1_048_576
_ROOM_BYTES = 262_144  # for bodies that wait for Kafka: some fifteen of these posts
POSTERS, MORE = 10, 50  # always; and while Kafka is away, more than there is room for
_EXTRA_MB = 40  # requests under way, answers, the client of Kafka
_CALM_AFTER_S = 30.0


class Seen(NamedTuple):
    """One answer: when it was asked for and came, its status, Retry-After, slots when accepted."""

    asked: float
    came: float
    status: int
    retry_after: str | None
    next_post_at: str


class Load:
    """Posters that do not wait as they are told: each sends the next post almost at once."""

    def __init__(self, address: str, wearers: list[Wearer], pause_s: float) -> None:
        self._address = address
        self._pause_s = pause_s
        self._wearers = wearers
        self.seen: list[Seen] = []
        self.acknowledged: dict[str, set[int]] = {w.customer.id: set() for w in wearers}

    @asynccontextmanager
    async def running(self, posters: int) -> AsyncIterator[None]:
        timeout = ClientTimeout(total=30)
        async with ClientSession(self._address, timeout=timeout) as session:
            tasks = [asyncio.create_task(self._post(session, number)) for number in range(posters)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _post(self, session: ClientSession, number: int) -> None:
        wearer = self._wearers[number % len(self._wearers)]
        rows = day_of_samples(MONDAY)
        headers = {"Authorization": f"Bearer {wearer.device.key}"}
        while True:
            body = wearer.envelope([row | {"rev": number} for row in rows])
            asked = time.monotonic()
            try:
                async with session.post("/v1/samples", json=body, headers=headers) as answer:
                    said: dict[str, Any] = await answer.json(content_type=None)
            except (ClientError, TimeoutError):
                self.seen.append(Seen(asked, time.monotonic(), 0, None, ""))
                continue
            after = answer.headers.get("Retry-After")
            next_at = str(said.get("next_post_at", ""))
            self.seen.append(Seen(asked, time.monotonic(), answer.status, after, next_at))
            if answer.status == 202:
                self.acknowledged[wearer.customer.id].add(number)
            await asyncio.sleep(self._pause_s)


@asynccontextmanager
async def gateway(stack: RunningStack) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A gateway with little room; its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = clean_environ() | stack.run.settings | {
        "FITSTREAM_IN_FLIGHT_MAX_BYTES": str(_ROOM_BYTES),
        "FITSTREAM_ACK_TIMEOUT_S": "2",
        "FITSTREAM_INGEST_RATE_PER_S": "1000",
        "FITSTREAM_INGEST_BURST": "10000",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fitstream", "gateway", "--port", str(port)),
        env=environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        await eventually(lambda: _is_ready(address), 120)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(address: str) -> bool:
    try:
        async with ClientSession(address) as session, session.get("/readyz") as answer:
            return answer.status == 200
    except ClientError:
        return False


@pytest.mark.parametrize(
    "outage_s",
    [pytest.param(6.0, marks=pytest.mark.slow), pytest.param(600.0, marks=pytest.mark.slow)],
    ids=["short", "ten minutes"],
)
async def test_i15_memory_is_bounded_and_i16_nothing_is_acknowledged_without_kafka(
    stack: RunningStack, admin: Client, outage_s: float
) -> None:
    wearers = [await new_wearer(admin) for _ in range(6)]
    async with gateway(stack) as (address, process):
        load = Load(address, wearers, 0.2 if outage_s < 60 else 1.0)
        async with load.running(POSTERS):
            await eventually(lambda: _has(load, 202, 3 * POSTERS))
            before_mb = process.memory_info().rss / _MB
            stopped, sizes = await _outage(stack, process, load, outage_s)
            back = time.monotonic()
            await eventually(lambda: _is_calm(load, back), 90)
        _check_outage(load, stopped, back)
    assert max(sizes) < before_mb + _EXTRA_MB, (before_mb, sizes)
    half = len(sizes) // 2
    assert max(sizes[half:]) < max(sizes[:half]) + 10, "it still grows"
    _check_recovery(load, back)
    for wearer in wearers:
        await eventually(lambda w=wearer: _holds(w, load))  # type: ignore[misc]


async def _outage(
    stack: RunningStack, process: psutil.Process, load: Load, outage_s: float
) -> tuple[float, list[float]]:
    """Kafka is frozen for so long; since when, and the gateway's megabytes meanwhile."""
    kafka = psutil.Process(stack.pid("kafka"))
    family = [kafka.pid, *(child.pid for child in kafka.children(recursive=True))]
    for pid in family:
        os.kill(pid, SIGSTOP)
    try:
        stopped = time.monotonic()
        sizes = []
        async with load.running(MORE):
            while time.monotonic() < stopped + outage_s:
                sizes.append(process.memory_info().rss / _MB)
                await asyncio.sleep(0.25)
        return stopped, sizes
    finally:
        for pid in family:
            os.kill(pid, SIGCONT)


async def _has(load: Load, status: int, count: int) -> bool:
    return sum(seen.status == status for seen in load.seen) >= count


async def _is_calm(load: Load, back: float) -> bool:
    """Every poster has had its latest answers, and they were good."""
    latest = [seen for seen in load.seen if seen.asked > back][-2 * POSTERS :]
    return len(latest) == 2 * POSTERS and all(seen.status == 202 for seen in latest)


def _check_outage(load: Load, stopped: float, back: float) -> None:
    """What was asked for and answered while Kafka stood still."""
    during = [seen for seen in load.seen if stopped < seen.asked and seen.came < back]
    assert len(during) >= POSTERS
    assert {seen.status for seen in during} <= {503, 429}
    for seen in during:
        assert seen.retry_after is not None
        assert int(seen.retry_after) >= 1


def _check_recovery(load: Load, back: float) -> None:
    """No errors half a minute after Kafka is back, and no common moment to come again."""
    late = [seen for seen in load.seen if seen.asked > back + _CALM_AFTER_S]
    assert all(seen.status == 202 for seen in late)
    told = {seen.next_post_at for seen in load.seen if seen.came > back and seen.status == 202}
    assert len(told) > len(load.acknowledged) // 2  # by hash: two may meet, not all


async def _holds(wearer: Wearer, load: Load) -> bool:
    """The ledger holds the day with the highest revision that was acknowledged, or a later one."""
    rows = await ledger_of(wearer)
    newest = max(load.acknowledged[wearer.customer.id])
    return len(rows) == 96 and min(row["rev"] for row in rows) >= newest
