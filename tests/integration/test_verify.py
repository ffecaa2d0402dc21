"""`fitstream verify` on real Postgres, Kafka and S3: what is tampered with is found and named."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import msgspec
import pytest

from fitstream.broker import make_topics, open_positions, open_producer
from fitstream.client import Client
from fitstream.consumers.roller import Roller
from fitstream.operations.findings import Report
from fitstream.operations.verify import Scope, acknowledge_losses, repair, verify
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.repo.weeks import WeekVersion, list_versions
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from tests.conftest import RunningStack, clean_environ
from tests.databases import create_database
from tests.ledgered import FIRST, LedgerWearer, new_ledger_wearer
from tests.real import at, day_of_samples, last_monday, new_wearer, wait_for_version

pytestmark = pytest.mark.stack
_numbers = count(1)


@dataclass(frozen=True)
class Place:
    """A system of its own: database, store, and one customer with a rolled week."""

    settings: Settings
    repo: Repo
    store: Store
    wearer: LedgerWearer

    async def roll(self) -> str:
        """Rolls the wearer's week."""
        return await Roller(self.repo, self.store, self.settings).roll(await self.wearer.claim())

    async def look(self) -> Report:
        """A check of everything."""
        return await verify(self.settings)

    async def version(self, number: int = 1) -> WeekVersion:
        """A version of the wearer's week."""
        week = (await self.wearer.week()).week
        async with self.repo.connection() as db:
            versions = await list_versions(db, self.wearer.customer_no, week)
        return next(each for each in versions if each.version == number)

    async def key(self, kind: str) -> str:
        """Name of a file of the first version."""
        files = (await self.version()).files
        return str(next(file["key"] for file in files if file["kind"] == kind))

    async def replace(self, key: str, body: bytes) -> None:
        """Other bytes under the name, as no one of ours would put them."""
        await self.store.delete(key)
        await self.store.put_new(key, body)

    async def sql(self, text: str, *args: object) -> None:
        """A statement that nobody else would make."""
        async with self.repo.transaction() as db:
            await db.execute(text, *args)


@pytest.fixture(scope="session")
async def template(services: Settings) -> Settings:
    """A migrated database to copy, a bucket and a topic."""
    address = services.postgres.rpartition("/")[0]
    settings = msgspec.structs.replace(
        services,
        postgres=f"{address}/verified",
        s3_bucket="verified",
        topic="verified.samples.v1",
        dead_topic="verified.dead.v1",
        topic_partitions=2,
    )
    await create_database(services, "verified")
    async with open_repo(settings) as repo, open_store(settings) as store:
        await migrate(repo, datetime.now(UTC).date())
        await store.make_bucket()
    await make_topics(settings)
    return settings


@pytest.fixture
async def place(services: Settings, template: Settings) -> AsyncIterator[Place]:
    name = f"verified_{next(_numbers)}"
    await create_database(services, name, "verified")
    address = services.postgres.rpartition("/")[0]
    settings = msgspec.structs.replace(template, postgres=f"{address}/{name}")
    async with open_repo(settings) as repo, open_store(settings) as store:
        wearer = await new_ledger_wearer(repo)
        await wearer.write([FIRST, FIRST + 1, FIRST + 3])
        place = Place(settings, repo, store, wearer)
        assert await place.roll() == "rolled"
        yield place


def texts(report: Report, check: str) -> str:
    """What a check found, as one text."""
    return "; ".join(f"{each.where}: {each.detail}" for each in report.findings(check))


async def test_a_sound_system_is_clean_and_its_gaps_are_told_apart(place: Place) -> None:
    report = await place.look()
    assert report.is_clean, report.lines()
    assert report.checked == {"customers": 1, "weeks": 1, "versions": 1, "files": 2, "rows": 3}
    assert report.apart["gap"] == 1
    assert "1 slots" in texts(report, "gap")


async def test_a_changed_row_is_found_and_repair_leads_to_a_new_version(place: Place) -> None:
    await place.sql("UPDATE sample SET steps = 4321 WHERE slot = $1", FIRST)
    report = await place.look()
    assert set(report.differences) == {"content", "rows"}
    assert place.wearer.customer_id in texts(report, "content")
    await _repaired(place, report)


@pytest.mark.parametrize("kind", ["week", "manifest"])
async def test_a_deleted_file_is_found_and_repaired_by_a_version_of_the_same_content(
    place: Place, kind: str
) -> None:
    key = await place.key(kind)
    await place.store.delete(key)
    report = await place.look()
    assert set(report.differences) == {"file"}
    assert f"{key} is missing" in texts(report, "file")
    await _repaired(place, report)
    after = await place.look()
    assert after.apart["replaced"] == 1
    assert (await place.version(2)).reason == "a file of the version before was damaged"


async def test_replaced_bytes_are_found_and_repaired(place: Place) -> None:
    key = await place.key("week")
    await place.replace(key, b"not what was written")
    report = await place.look()
    assert set(report.differences) == {"file"}
    assert f"{key} holds other bytes" in texts(report, "file")
    await _repaired(place, report)


async def test_a_forged_content_hash_is_found_and_repaired(place: Place) -> None:
    await place.sql("UPDATE week_version SET content_sha = $1", "ab" * 32)
    report = await place.look()
    assert set(report.differences) == {"content", "manifest"}
    assert "content_sha" in texts(report, "manifest")
    await _repaired(place, report)


async def _repaired(place: Place, report: Report) -> None:
    """Repair marks the one week, the roller makes a version, and all is clean."""
    assert await repair(place.settings, report) == 1
    marked = await place.look()
    assert marked.apart["dirty"] == 1
    assert await place.roll() == "rolled"
    after = await place.look()
    assert after.is_clean, after.lines()
    assert (await place.wearer.week()).current_version == 2


async def test_a_dirty_week_is_told_apart_until_it_is_overdue(place: Place) -> None:
    await place.wearer.write([FIRST + 8])
    report = await place.look()
    assert report.is_clean
    assert texts(report, "dirty").endswith("closed")
    await place.sql(
        "UPDATE week_state SET first_dirty_at = now() - interval '1 day',"
        " closed_at = now() - interval '1 day'"
    )
    assert "rolled_seq" in texts(await place.look(), "overdue")


async def test_a_gap_in_the_versions_is_found(place: Place) -> None:
    await place.sql("UPDATE week_version SET version = 2")
    report = await place.look()
    assert "versions are [2]; " in texts(report, "versions") + "; "
    assert "current is 1, the newest is 2" in texts(report, "versions")


async def test_a_loss_is_a_difference_until_a_person_has_acknowledged_it(place: Place) -> None:
    await place.sql(
        "INSERT INTO ingest_loss (generation, partition, first_offset, next_offset)"
        " VALUES (1, 0, 5, 9)"
    )
    assert "offsets 5 to 8" in texts(await place.look(), "loss")
    assert await acknowledge_losses(place.settings) == 1
    assert (await place.look()).is_clean
    assert await acknowledge_losses(place.settings) == 0


async def test_a_group_beyond_the_ledger_is_found(place: Place) -> None:
    async with open_producer(place.settings) as producer:
        for key in (b"a", b"b", b"c", b"d"):
            await producer.send(place.settings.topic, key, b"v", [])
    async with open_positions(place.settings, "verified.ledger") as positions:
        assert await positions.committed() == {}
        await positions.commit({0: 1})
        assert await positions.committed() == {0: 1}
    scope = Scope(group="verified.ledger")
    report = await verify(place.settings, scope)
    assert "partition 0: the group stands at 1, the ledger at nothing" in texts(report, "position")
    await place.sql(
        "INSERT INTO ingest_progress (generation, partition, next_offset) VALUES (1, 0, 1)"
    )
    assert (await verify(place.settings, scope)).is_clean


async def test_rows_that_are_gone_or_in_no_week_are_found(place: Place) -> None:
    await place.sql("UPDATE week_state SET dirty_seq = dirty_seq + 1")
    await place.sql("DELETE FROM sample WHERE slot = $1", FIRST)
    assert "2 rows, 2 of them in weeks, 3 counted" in texts(await place.look(), "count")


async def test_orphans_are_told_apart_with_their_age(place: Place) -> None:
    folder = (await place.key("week")).rpartition("/")[0]
    key = f"{folder}/v0001-0123456789ab.parquet"
    await place.store.put_new(key, b"left behind")
    await place.store.put_new(f"{folder}/notes.txt", b"not ours")
    report = await verify(place.settings, Scope(place.wearer.customer_id))
    assert report.is_clean
    assert texts(report, "orphan") == f"{key}: 0.0 h old, kept for now"


async def test_one_customer_alone_is_looked_at(place: Place) -> None:
    other = await new_ledger_wearer(place.repo)
    await place.sql("UPDATE sample SET steps = 4321 WHERE slot = $1", FIRST)
    assert (await verify(place.settings, Scope(other.customer_id))).is_clean
    assert not (await verify(place.settings, Scope(place.wearer.customer_id))).is_clean


@pytest.mark.slow
async def test_the_command_says_what_it_found_by_its_exit_code(
    place: Place, stack: RunningStack
) -> None:
    settings = place.settings
    environ = clean_environ(
        **stack.run.settings
        | {
            "FITSTREAM_POSTGRES": settings.postgres,
            "FITSTREAM_S3_BUCKET": settings.s3_bucket,
            "FITSTREAM_TOPIC": settings.topic,
            "FITSTREAM_TOPIC_PARTITIONS": "2",
        }
    )
    code, out = await _command(environ, "--json")
    assert (code, msgspec.json.decode(out)["clean"]) == (0, True)
    await place.store.delete(await place.key("week"))
    code, out = await _command(environ)
    assert code == 1
    assert b"DIFFERENCE file: 1" in out
    code, out = await _command(environ, "--repair", "--acknowledge-loss", "--json")
    assert code == 1
    assert msgspec.json.decode(out)["notes"][1].startswith("repair: 1 ")
    code, _ = await _command(environ | {"FITSTREAM_S3_BUCKET": "nowhere"})
    assert code == 2
    code, _ = await _command(environ, "--customer", "cus_nobody")
    assert code == 2
    code, _ = await _command(environ, "--data", "/nowhere")
    assert code == 2


async def _command(environ: dict[str, str], *arguments: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fitstream", "verify", *arguments,
        env=environ, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out


async def test_a_running_system_is_clean(stack: RunningStack, admin: Client) -> None:
    wearer = await new_wearer(admin)
    monday = last_monday()
    await wearer.post(day_of_samples(monday), complete_through=at(monday, 672))
    week = f"{monday:%G-W%V}"
    await wait_for_version(wearer, week, 1)
    await wearer.post([{"slot": at(monday, 3), "steps": 1234, "rev": 1}])
    await wait_for_version(wearer, week, 2)
    # This customer alone: other tests tamper with theirs.
    report = await verify(stack.settings, Scope(customer_id=wearer.customer.id))
    assert report.is_clean, report.lines()
    assert report.checked["weeks"] >= 1
