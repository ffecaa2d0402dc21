"""Collection of orphan objects on a real store: exactly what no version can come to name."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from fitstream.consumers.dispatcher import Dispatcher
from fitstream.consumers.roller import Roller
from fitstream.ids import new_id
from fitstream.repo import jobs
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks.child import TASKS
from fitstream.tasks.collect_orphans import collect, collect_orphans
from fitstream.tasks.context import JobContext
from tests.ledgered import FIRST, LedgerWearer, new_ledger_wearer

pytestmark = pytest.mark.stack
SHA = "0123456789ab"


@pytest.fixture
async def settings(services: Settings) -> Settings:
    """A bucket that no other test uses."""
    return msgspec.structs.replace(services, s3_bucket=new_id("orphans").replace("_", "-").lower())


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with open_store(settings) as opened:
        await opened.make_bucket()
        yield opened


@pytest.fixture
async def wearer(repo: Repo, store: Store, settings: Settings) -> LedgerWearer:
    """A customer with a first version."""
    made = await new_ledger_wearer(repo)
    await made.write([FIRST, FIRST + 1])
    assert await Roller(repo, store, settings).roll(await made.claim()) == "rolled"
    return made


async def keys(store: Store) -> set[str]:
    return {key async for key in store.list_keys()}


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


async def folder_of(wearer: LedgerWearer) -> str:
    return f"users/{wearer.customer_id}/weeks/{(await wearer.week()).week}"


async def test_only_old_objects_of_versions_that_were_passed_are_removed(
    repo: Repo, store: Store, wearer: LedgerWearer
) -> None:
    folder = await folder_of(wearer)
    named = await keys(store)
    left = {
        f"{folder}/v0001-{SHA}.parquet",
        f"{folder}/v0001-{SHA}-originals.parquet",
        f"{folder}/manifest-v0001-{SHA}.json",
    }
    others = {
        f"{folder}/v0002-{SHA}.parquet",  # its roll may still commit
        f"{folder}/notes.txt",
        f"users/{wearer.customer_id}/forecasts/v0001-{SHA}.parquet",
        f"users/{wearer.customer_id}/weeks/2020-W01/v0001-{SHA}.parquet",
        f"users/cus_unknown/weeks/2026-W47/v0001-{SHA}.parquet",
        "raw/samples.v1/1/0/x.msgpack",
    }
    for key in left | others:
        await store.put_new(key, b"x")
    assert await collect(store, repo, later(23.9)) == (0, 6)
    assert await keys(store) == named | left | others
    assert await collect(store, repo, later(24.1)) == (3, 3)
    assert await keys(store) == named | others
    assert await collect(store, repo, later(24.1)) == (0, 3)


async def test_what_was_above_the_current_version_goes_once_that_is_passed(
    repo: Repo, store: Store, settings: Settings, wearer: LedgerWearer
) -> None:
    key = f"{await folder_of(wearer)}/v0002-{SHA}.parquet"
    await store.put_new(key, b"x")
    assert await collect(store, repo, later(48)) == (0, 1)
    await wearer.write([FIRST + 5])
    assert await Roller(repo, store, settings).roll(await wearer.claim()) == "rolled"
    assert await collect(store, repo, later(48)) == (1, 0)
    assert key not in await keys(store)


async def test_the_job_tells_what_it_removed(
    repo: Repo, store: Store, settings: Settings, wearer: LedgerWearer
) -> None:
    await store.put_new(f"{await folder_of(wearer)}/v0001-{SHA}.parquet", b"x")
    async with repo.transaction() as db:
        new = NewJob(kind="collect_orphans", queue="test", dedupe_key=new_id("key"))
        job_id = await jobs.insert_job(db, new)
        job = await jobs.claim_job(db, job_id, "test", 60)
    assert job is not None
    tomorrow = msgspec.structs.replace(settings, clock_offset_s=25 * 3600)
    await collect_orphans(JobContext(job, repo, store, tomorrow))
    async with repo.connection() as db:
        done = await jobs.get_job(db, job_id)
    assert (done.state, done.result) == ("succeeded", {"removed": 1, "kept": 0})


async def test_it_is_planned_once_a_night(repo: Repo, services: Settings) -> None:
    assert "collect_orphans" in TASKS
    night = datetime(2031, 5, 6, 3, 0, tzinfo=UTC)
    dispatcher = Dispatcher(repo, None, services)  # type: ignore[arg-type]
    async with repo.transaction() as db:
        for _ in range(2):
            await dispatcher._nightly(db, night)
        planned = await db.fetch(
            "SELECT queue FROM job"
            " WHERE kind = 'collect_orphans' AND dedupe_key LIKE '%2031-05-06%'"
        )
        assert [row["queue"] for row in planned] == ["light"]
        await db.execute("DELETE FROM job WHERE dedupe_key LIKE '%2031-05-06%'")
