"""A connection that goes back to the pool after an error serves the next caller as any other."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from fitstream.errors import Rejected, Unavailable
from fitstream.repo.database import Repo, open_repo
from fitstream.settings import Settings

pytestmark = pytest.mark.stack
DEADLINE_S = 0.3


@pytest.fixture
async def one(services: Settings) -> AsyncIterator[Repo]:
    """A pool of one connection, with a short deadline for statements."""
    settings = msgspec.structs.replace(services, pool_size=1, statement_timeout_s=DEADLINE_S)
    async with open_repo(settings) as repo:
        yield repo


async def _asks_again(repo: Repo) -> None:
    """Later than a deadline that was left running would allow."""
    await asyncio.sleep(2 * DEADLINE_S)
    async with repo.transaction() as db:
        assert await db.fetchval("SELECT 1") == 1
        assert await db.fetchval("SELECT now()") > datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_value_that_cannot_be_sent_leaves_no_deadline_behind(one: Repo) -> None:
    with pytest.raises(Rejected):
        async with one.connection() as db:
            await db.fetchval("SELECT $1::int", 2**40)
    await _asks_again(one)


async def test_a_caller_who_gave_up_leaves_no_deadline_behind(one: Repo) -> None:
    for moment in range(20):
        asking = asyncio.create_task(_ask(one, moment))
        for _ in range(moment):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    await _asks_again(one)


async def _ask(repo: Repo, number: int) -> None:
    async with repo.connection() as db:
        await db.fetchval(f"SELECT $1::int + {number}", 1)  # noqa: S608  not prepared before


async def test_a_statement_that_took_too_long_leaves_no_transaction_behind(one: Repo) -> None:
    with pytest.raises(Unavailable):
        async with one.transaction() as db:
            await db.execute("SELECT pg_sleep(5)")
    await _asks_again(one)
    async with one.connection() as db:
        assert not db.is_in_transaction()
