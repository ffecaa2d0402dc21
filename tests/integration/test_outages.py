"""A service that stops answering: what a device and a reader are told, and nothing is lost.

Each service is frozen (SIGSTOP), which looks to its clients like a dead network.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP

import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from tests.conftest import RunningStack
from tests.real import (
    Wearer,
    at,
    day_of_samples,
    eventually,
    last_monday,
    new_wearer,
    wait_for_rows,
    wait_for_version,
)

pytestmark = pytest.mark.stack
MONDAY = last_monday()


@pytest.fixture
async def wearer(admin: Client) -> Wearer:
    wearer = await new_wearer(admin)
    await wearer.post(day_of_samples(MONDAY)[:1])  # the gateway knows the key from here on
    return wearer


@asynccontextmanager
async def frozen(stack: RunningStack, admin: Client, service: str) -> AsyncIterator[None]:
    """The service does not answer while the block runs; afterwards everything works again."""
    pids = _family(stack.pid(service))
    for pid in pids:
        os.kill(pid, SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, SIGCONT)

    async def is_back() -> bool:
        return (await admin.pipeline()).kafka is not None

    await eventually(is_back)


def _family(pid: int) -> list[int]:
    import psutil

    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


async def post(http: ClientSession, wearer: Wearer, hour: int) -> tuple[int, str | None]:
    rows = day_of_samples(MONDAY)[hour * 4 : hour * 4 + 4]
    headers = {"Authorization": f"Bearer {wearer.device.key}"}
    async with http.post("/v1/samples", json=wearer.envelope(rows), headers=headers) as answer:
        if answer.status == 503:
            assert "keep your data" in (await answer.json())["detail"]
        return answer.status, answer.headers.get("Retry-After")


async def test_without_kafka_a_post_is_503_with_retry_after_and_comes_through_later(
    stack: RunningStack, admin: Client, http: ClientSession, wearer: Wearer
) -> None:
    async with frozen(stack, admin, "kafka"):
        status, retry_after = await post(http, wearer, 1)
        assert status == 503
        assert retry_after is not None
        assert int(retry_after) > 0
        async with http.get("/healthz") as answer:
            assert answer.status == 200
        async with http.get("/readyz") as answer:
            assert answer.status == 503
    await wearer.post(day_of_samples(MONDAY)[4:8])
    await wait_for_rows(wearer, 5)


async def test_without_postgres_posts_are_accepted_and_reads_are_503(
    stack: RunningStack, admin: Client, http: ClientSession, wearer: Wearer
) -> None:
    async with frozen(stack, admin, "postgres"):
        assert (await post(http, wearer, 2))[0] == 202
        reading = _is_away(http, f"/v1/customers/{wearer.customer.id}", stack.admin_key)
        strange = _is_away(http, "/v1/jobs", "fs_neverseen_secret")  # who it is cannot be known
        await asyncio.gather(reading, strange)
    await wait_for_rows(wearer, 5)


async def _is_away(http: ClientSession, path: str, key: str, service: str = "postgres") -> None:
    async with http.get(path, headers={"Authorization": f"Bearer {key}"}) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        assert (await answer.json())["detail"].startswith(f"{service} is not available")


async def test_without_s3_data_is_taken_in_and_weeks_roll_when_it_is_back(
    stack: RunningStack, admin: Client, http: ClientSession, wearer: Wearer
) -> None:
    async with frozen(stack, admin, "s3"):
        assert (await post(http, wearer, 3))[0] == 202
        await wait_for_rows(wearer, 5)
        job = await admin.roll_week(wearer.customer.id, f"{MONDAY:%G-W%V}")

    async def is_rolled() -> bool:
        return (await admin.job(job)).state == "succeeded"

    await eventually(is_rolled, 90)


@pytest.mark.slow
async def test_without_s3_a_week_file_is_503_and_there_again_afterwards(
    stack: RunningStack, admin: Client, http: ClientSession, wearer: Wearer
) -> None:
    await wearer.post(day_of_samples(MONDAY), complete_through=at(MONDAY, 672))
    week = f"{MONDAY:%G-W%V}"
    await wait_for_version(wearer, week, 1)
    before = await admin.week_file(wearer.customer.id, week, 1)
    path = f"/v1/customers/{wearer.customer.id}/weeks/{week}/versions/1/file"
    async with frozen(stack, admin, "s3"):
        await _is_away(http, path, stack.admin_key, "s3")
    assert await admin.week_file(wearer.customer.id, week, 1) == before


@pytest.mark.slow  # 20 s, and the matrix of faults takes Redis away in six ways
async def test_without_redis_nothing_but_jobs_waits(
    stack: RunningStack, admin: Client, http: ClientSession, wearer: Wearer
) -> None:
    async with frozen(stack, admin, "redis"):
        assert (await post(http, wearer, 4))[0] == 202
        await wait_for_rows(wearer, 5)
        run = await admin.train(budget_s=5)

    async def is_done() -> bool:
        return (await admin.job(run)).state == "succeeded"

    await eventually(is_done, 90)
