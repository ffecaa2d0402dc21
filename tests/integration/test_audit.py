"""The audit log: written with what it tells of, sealed in a chain, and a change shows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from secrets import token_bytes

import msgspec
import pytest
from asyncpg import CheckViolationError, RaiseError

from fitstream.consumers.sealer import seal_always
from fitstream.errors import Rejected, Unavailable
from fitstream.operations import audit_anchor
from fitstream.operations.audit import Head, parse_head, seal, verify
from fitstream.operations.audit_anchor import drop_old
from fitstream.repo import audit
from fitstream.repo.audit import Actor, Only, Subject, record
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.repo.paging import Slice
from fitstream.repo.sorts import AUDIT
from fitstream.sealing import master_keys
from fitstream.settings import Settings
from tests.conftest import RunningStack
from tests.databases import create_database, drop_database
from tests.factories import NOW
from tests.real import eventually

pytestmark = pytest.mark.stack
KEYS = [token_bytes(32)]
BY = Actor("admin", 7)


@pytest.fixture(scope="module")
async def template(stack: RunningStack) -> AsyncIterator[str]:
    """Name of a migrated database that nobody is connected to."""
    name = f"audit_{token_bytes(6).hex()}"
    await create_database(stack.settings, name)
    async with open_repo(_at(stack.settings, name)) as made:
        await migrate(made, NOW.date())
    yield name
    await drop_database(stack.settings, name)


@pytest.fixture
async def own(stack: RunningStack, template: str) -> AsyncIterator[Repo]:
    """A database with an empty log that no dispatcher seals."""
    name = f"{template}_{token_bytes(4).hex()}"
    await create_database(stack.settings, name, template)
    async with open_repo(_at(stack.settings, name)) as opened:
        yield opened
    await drop_database(stack.settings, name)


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
        assert (await audit.list_entries(db, Only(), Slice(AUDIT.order(), 10))).items == []


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


async def aged(repo: Repo, days: int) -> None:
    """Makes every link so many days older."""
    await tamper(repo, f"UPDATE audit_seal SET at = at - interval '{days} days'")


async def numbers(repo: Repo) -> list[int]:
    """Which entries are there."""
    async with repo.connection() as db:
        return [row["audit_no"] for row in await db.fetch("SELECT audit_no FROM audit ORDER BY 1")]


async def test_entries_older_than_the_log_is_kept_go_and_the_chain_still_holds(own: Repo) -> None:
    now = datetime.now(UTC)
    for _ in range(2):
        await write(own, 3)
        await seal(own, KEYS)
    noted = parse_head((await verify(own, KEYS)).head)
    await aged(own, 100)
    await write(own, 2)
    await seal(own, KEYS)
    assert await drop_old(own, KEYS, 0, now) == 0
    assert await drop_old(own, KEYS, 101, now) == 0
    assert await drop_old(own, KEYS, 90, now) == 6
    assert await drop_old(own, KEYS, 90, now) == 0
    await seal(own, KEYS)
    found = await verify(own, KEYS, noted)
    assert found.problems == []
    assert (found.seals, found.dropped, found.entries, found.unsealed) == (4, 6, 3, 0)
    async with own.connection() as db:
        newest = (await audit.list_entries(db, Only(), Slice(AUDIT.order(), 1))).items[0]
    assert (newest.actor, newest.action, newest.subject) == (
        "system", "audit.entries_dropped", "seal:2",
    )  # fmt: skip
    await write(own)
    await seal(own, KEYS)
    assert (await verify(own, KEYS, noted)).problems == []


@pytest.mark.slow
async def test_a_death_between_anchor_and_deletion_leaves_a_chain_that_holds(own: Repo) -> None:
    await write(own, 3)
    await seal(own, KEYS)
    await aged(own, 100)
    now = datetime.now(UTC)
    await audit_anchor._anchor(own, KEYS[0], now - timedelta(days=90))
    assert len(await numbers(own)) == 4
    assert (await verify(own, KEYS)).problems == []
    assert await drop_old(own, KEYS, 0, now) == 3
    assert (await verify(own, KEYS)).problems == []


async def test_nothing_but_what_an_anchor_covers_can_be_deleted(own: Repo) -> None:
    await write(own, 2)
    await seal(own, KEYS)
    await aged(own, 100)
    await write(own, 1)
    await drop_old(own, KEYS, 90, datetime.now(UTC))
    left = await numbers(own)
    for statement in (
        "DELETE FROM audit",
        "TRUNCATE audit",
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit_anchor",
        "UPDATE audit_anchor SET last_no = 99",
    ):
        with pytest.raises(RaiseError):
            async with own.transaction() as db:
                await db.execute(statement)
    assert await numbers(own) == left
    assert (await verify(own, KEYS)).problems == []


@pytest.mark.slow
async def test_an_anchor_that_somebody_made_up_hides_nothing(own: Repo) -> None:
    await write(own, 3)
    await seal(own, KEYS)
    async with own.transaction() as db:
        await db.execute(
            "INSERT INTO audit_anchor SELECT seal_no, last_no, mac, key_id FROM audit_seal"
        )
        await db.execute("DELETE FROM audit")
    problems = (await verify(own, KEYS)).problems
    assert "anchor 1: it was not made with our secret key" in problems
    assert "link 1: it covers 3 entries, 0 are there" in problems


@pytest.mark.slow
async def test_the_dispatcher_drops_what_is_older_than_the_setting_says(
    own: Repo, stack: RunningStack
) -> None:
    await write(own, 2)
    settings = msgspec.structs.replace(
        stack.settings, audit_keep_days=90, audit_seal_s=0.05, secret_key_old=""
    )
    await seal(own, master_keys(settings))
    await aged(own, 100)
    stop = asyncio.Event()
    sealing = asyncio.create_task(seal_always(own, settings, stop))

    async def is_dropped() -> bool:
        return (await verify(own, master_keys(settings))).dropped == 2

    await eventually(is_dropped)
    stop.set()
    await sealing
    assert (await verify(own, master_keys(settings))).problems == []
