"""The audit log: written with what it tells of, sealed in a chain, and a change shows."""

import asyncio
from collections.abc import AsyncIterator
from secrets import token_bytes

import msgspec
import pytest
from asyncpg import CheckViolationError, RaiseError

from fitstream.errors import Rejected, Unavailable
from fitstream.operations.audit import Head, parse_head, seal, verify
from fitstream.repo import audit
from fitstream.repo.audit import Actor, Only, Subject, record
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.settings import Settings
from tests.conftest import RunningStack
from tests.factories import NOW

pytestmark = pytest.mark.stack
KEYS = [token_bytes(32)]
BY = Actor("admin", 7)


@pytest.fixture(scope="module")
async def template(stack: RunningStack) -> AsyncIterator[str]:
    """Name of a migrated database that nobody is connected to."""
    name = f"audit_{token_bytes(6).hex()}"
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        await db.execute(f"CREATE DATABASE {name}")
        async with open_repo(_at(stack.settings, name)) as made:
            await migrate(made, NOW.date())
        yield name
        await db.execute(f"DROP DATABASE {name}")


@pytest.fixture
async def own(stack: RunningStack, template: str) -> AsyncIterator[Repo]:
    """A database with an empty log that no dispatcher seals."""
    name = f"{template}_{token_bytes(4).hex()}"
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        await db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        async with open_repo(_at(stack.settings, name)) as opened:
            yield opened
        await db.execute(f"DROP DATABASE {name}")


def _at(settings: Settings, name: str) -> Settings:
    address = settings.postgres.rpartition("/")[0]
    return msgspec.structs.replace(settings, postgres=f"{address}/{name}")


async def write(repo: Repo, count: int = 1) -> None:
    async with repo.transaction() as db:
        for number in range(count):
            await record(db, BY, "device.removed", Subject("device", str(number), 3, 1))


async def tamper(repo: Repo, statement: str) -> None:
    """What somebody with all rights on the database could do."""
    async with repo.transaction() as db:
        await db.execute("SET LOCAL session_replication_role = replica")
        await db.execute(statement)


async def test_entries_are_sealed_once_and_the_chain_holds(own: Repo) -> None:
    assert await seal(own, KEYS) == 0
    for count in (3, 1, 2):
        await write(own, count)
        assert await seal(own, KEYS) == count
        assert await seal(own, KEYS) == 0
    await write(own)
    found = await verify(own, KEYS)
    assert (found.seals, found.entries, found.unsealed, found.problems) == (3, 6, 1, [])


async def test_a_transaction_that_fails_leaves_no_entry(own: Repo) -> None:
    async def fail() -> None:
        async with own.transaction() as db:
            await record(db, BY, "staff.disabled", Subject("account", "9"))
            raise Rejected("no", "changed my mind")

    with pytest.raises(Rejected):
        await fail()
    async with own.connection() as db:
        assert await audit.list_entries(db, None, Only(), 10) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET action = 'device.paired' WHERE audit_no = 2",
        "UPDATE audit SET at = at + interval '1 s' WHERE audit_no = 5",
        "UPDATE audit SET actor_no = 8 WHERE audit_no = 1",
        "DELETE FROM audit WHERE audit_no = 3",
        "DELETE FROM audit_seal WHERE seal_no = 1",
        "UPDATE audit_seal SET entries = entries - 1 WHERE seal_no = 2",
    ],
)
async def test_a_change_behind_our_back_shows(own: Repo, statement: str) -> None:
    for _ in range(2):
        await write(own, 3)
        await seal(own, KEYS)
    await tamper(own, statement)
    assert (await verify(own, KEYS)).problems


async def test_a_chain_made_anew_without_the_secret_key_shows(own: Repo) -> None:
    await write(own, 3)
    await seal(own, KEYS)
    await tamper(own, "UPDATE audit SET actor_no = 8; DELETE FROM audit_seal")
    await seal(own, [token_bytes(32)])
    assert (await verify(own, KEYS)).problems


async def test_a_log_that_was_cut_off_shows_against_a_noted_link(own: Repo) -> None:
    for _ in range(2):
        await write(own, 2)
        await seal(own, KEYS)
    noted = parse_head((await verify(own, KEYS)).head)
    assert (await verify(own, KEYS, noted)).problems == []
    await tamper(
        own, "DELETE FROM audit WHERE audit_no > 2; DELETE FROM audit_seal WHERE seal_no > 1"
    )
    assert (await verify(own, KEYS)).problems == []
    assert (await verify(own, KEYS, noted)).problems
    assert (await verify(own, KEYS, Head(1, bytes(32)))).problems


async def test_links_of_before_a_rotation_hold_while_the_old_key_is_at_hand(own: Repo) -> None:
    await write(own)
    await seal(own, KEYS)
    newer = [token_bytes(32), *KEYS]
    await write(own)
    await seal(own, newer)
    assert (await verify(own, newer)).problems == []
    (problem,) = (await verify(own, newer[:1])).problems
    assert "not at hand" in problem


async def test_the_log_takes_no_change_and_no_name(own: Repo) -> None:
    await write(own)
    for statement in ("UPDATE audit SET actor_no = 1", "DELETE FROM audit", "TRUNCATE audit"):
        async with own.connection() as db:
            with pytest.raises(RaiseError, match="append-only"):
                await db.execute(statement)
    for name in ("ada@example.org", "Ada Lovelace"):
        async with own.connection() as db:
            with pytest.raises(CheckViolationError):
                await record(db, BY, "staff.created", Subject("account", name))


async def test_an_entry_that_commits_late_is_sealed_in_its_place(own: Repo) -> None:
    """Numbers are given out before their transactions commit: nothing must be passed over."""
    written, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with own.transaction() as db:
            await record(db, BY, "staff.created", Subject("account", "1"))
            written.set()
            await go_on.wait()

    task = asyncio.create_task(slow())
    await written.wait()
    await write(own)
    with pytest.raises(Unavailable):
        await seal(own, KEYS)
    go_on.set()
    await task
    assert await seal(own, KEYS) == 2
    assert (await verify(own, KEYS)).problems == []
