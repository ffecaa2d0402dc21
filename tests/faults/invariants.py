"""What must hold after every fault, read straight from Postgres, S3 and Kafka.

Each check answers with sentences about what is wrong: none means that it holds.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from fitstream import weekfile
from fitstream.clock import slot_of, zone_for
from fitstream.consumers.archive import decode_archive
from fitstream.errors import NotFound
from fitstream.ids import is_id
from fitstream.merge import Row
from fitstream.repo import customers, samples, weeks
from fitstream.repo.database import Db, Repo, open_repo
from fitstream.settings import Settings
from fitstream.simulate.fleet import Fleet
from fitstream.store import Store, open_store


class Ledger(NamedTuple):
    """Slots of a fleet that are not in the ledger, that are there too often or wrongly."""

    slots: int
    lost: list[str]
    doubled: list[str]


class Offsets(NamedTuple):
    """By partition: the end of the topic, and what each group has committed."""

    ends: dict[int, int]
    committed: dict[str, dict[int, int]]


class Observed:
    """The three stores of one system, and the questions put to them."""

    def __init__(self, settings: Settings, repo: Repo, store: Store) -> None:
        self.settings = settings
        self.repo = repo
        self.store = store

    async def offsets(self) -> Offsets:
        """How long the topic is, and how far its groups have come."""
        of = [
            TopicPartition(self.settings.topic, number)
            for number in range(self.settings.topic_partitions)
        ]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka, group_id=None)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka)
        try:
            await consumer.start()
            await admin.start()
            ends = await consumer.end_offsets(of)
            committed = {
                group: await admin.list_consumer_group_offsets(group, partitions=of)
                for group in ("ledger", "archive")
            }
        finally:
            await consumer.stop()
            await admin.close()
        return Offsets(
            {each.partition: end for each, end in ends.items()},
            {
                group: {each.partition: max(0, found.offset) for each, found in by.items()}
                for group, by in committed.items()
            },
        )

    async def waits(self, names: Iterable[str]) -> list[str]:
        """What has not come to rest of these processes' work."""
        found = []
        offsets = await self.offsets()
        async with self.repo.connection() as db:
            if "ledger" in names:
                read = await _progress(db)
                behind = sum(end - read.get(p, 0) for p, end in offsets.ends.items())
                found += [f"the ledger has {behind} records to read"] if behind else []
            if "archive" in names:
                done = offsets.committed["archive"]
                behind = sum(end - done.get(p, 0) for p, end in offsets.ends.items())
                found += [f"the archive has {behind} records to read"] if behind else []
            if "roller" in names and (due := await db.fetchval(_WEEKS_DUE, slot_of(_now()))):
                found.append(f"{due} weeks wait to be rolled")
            if "worker" in names and (due := await db.fetchval(_JOBS_DUE)):
                found.append(f"{due} jobs are not done")
            if "training" in names and (due := await db.fetchval(_PROGRAMMES_STALE)):
                found.append(f"{due} programmes wait for a training run")
        return found

    async def wrong(self, fleets: Iterable[Fleet]) -> list[str]:
        """Every sentence of every check; weeks and jobs are those of the whole database."""
        found: list[str] = []
        offsets = await self.offsets()
        async with self.repo.connection() as db:
            for fleet in fleets:
                ledger = await ledger_of(db, fleet)
                found += [*ledger.lost, *ledger.doubled, *fleet.totals.surprises]
            found += await _committed_too_far(db, offsets)
            found += await _versions_wrong(db)
            found += await _jobs_wrong(db)
        return found + await self._files_wrong() + await self._content_wrong()

    async def _files_wrong(self) -> list[str]:
        """Files of versions that are not there, or not with their checksum."""
        found = []
        async with self.repo.connection() as db:
            versions = await db.fetch("SELECT week, version, files FROM week_version")
        for version in versions:
            for file in _files(version["files"]):
                if (text := await self._file_wrong(file)) is not None:
                    found.append(f"{file['key']} {text}")
        return found

    async def _file_wrong(self, file: dict[str, Any]) -> str | None:
        try:
            body = await self.store.get(file["key"])
        except NotFound:
            return "is missing"
        digest = sha256(body).hexdigest()
        if digest[:12] not in file["key"] or digest != file.get("sha256", digest):
            return "has other bytes than its checksum says"
        return None

    async def _content_wrong(self) -> list[str]:
        """Rolled weeks whose current version is not what the ledger holds."""
        found = []
        async with self.repo.transaction("repeatable_read", readonly=True) as db:
            for row in await db.fetch(_CLEAN_WEEKS):
                state = await weeks.snapshot_state(db, row["customer_no"], row["week"])
                span = (state.start_slot, state.end_slot)
                rows = await samples.rows_of(db, state.customer_no, span)
                zone = zone_for(state.week, await customers.zones_of(db, state.customer_no))
                content = weekfile.week_content(state.customer_id, (state.week, *span), zone, rows)
                if weekfile.content_sha(content) != state.content_sha:
                    found.append(f"{state.customer_id} {state.week} is not what the ledger holds")
        return found

    async def archive_wrong(self) -> list[str]:
        """Records of the topic, all of them committed by the archive, that no object holds."""
        held: dict[int, set[int]] = {}
        async for key in self.store.list_keys(f"raw/{self.settings.topic}/"):
            partition = int(key.split("/")[3])
            records = decode_archive(await self.store.get(key))
            held.setdefault(partition, set()).update(record.offset for record in records)
        async with self.repo.connection() as db:  # what names no customer cannot be sealed
            for row in await db.fetch(_PARKED):
                if not is_id((row["key"] or b"").decode(errors="replace")):
                    held.setdefault(row["partition"], set()).add(row["record_offset"])
        committed = (await self.offsets()).committed["archive"]
        return [
            f"the archive lacks {len(missing)} records of partition {partition}"
            for partition, end in committed.items()
            if (missing := set(range(end)) - held.get(partition, set()))
        ]


@asynccontextmanager
async def observed(settings: Settings) -> AsyncIterator[Observed]:
    """The stores that `settings` name."""
    async with open_repo(settings) as repo, open_store(settings) as store:
        yield Observed(settings, repo, store)


async def ledger_of(db: Db, fleet: Fleet) -> Ledger:
    """The ledger against the pure merge of what a fleet's devices were acknowledged."""
    slots, lost, doubled = 0, [], []
    for device in fleet.devices:
        if device.enrolled is None:
            continue
        plan = fleet.plan(device)
        wanted = device.versions(plan)
        either = device.doubtful(plan)  # nobody knows what became of these
        rows = await db.fetch(_ROWS_OF_DEVICE, device.enrolled.device_id)
        times = Counter(row["slot"] for row in rows)
        there = {row["slot"]: (row["rev"], row["tie"], row["tz_offset_min"]) for row in rows}
        slots += len(wanted)
        for slot, text in _differences(wanted, there, either):
            words = f"{device.enrolled.device_id}, slot {slot}: {text}"
            (doubled if text == "was never acknowledged" else lost).append(words)
        doubled += [f"slot {slot} is there {n} times" for slot, n in times.items() if n > 1]
    return Ledger(slots, lost, doubled)


def _differences(
    wanted: dict[int, Row], there: dict[int, tuple[int, int, int]], either: set[int]
) -> Iterator[tuple[int, str]]:
    for slot in sorted((wanted.keys() | there.keys()) - either):
        ours, found = wanted.get(slot), there.get(slot)
        if ours is None:
            yield slot, "was never acknowledged"
        elif found is None:
            yield slot, "is missing"
        elif found != (ours.rev, ours.tie, ours.tz_offset_min):
            yield slot, f"holds rev {found[0]}, acknowledged was rev {ours.rev}, or other values"


async def _progress(db: Db) -> dict[int, int]:
    rows = await db.fetch("SELECT partition, next_offset FROM ingest_progress")
    return {row["partition"]: row["next_offset"] for row in rows}


async def _committed_too_far(db: Db, offsets: Offsets) -> list[str]:
    read = await _progress(db)
    return [
        f"Kafka has {offset} of partition {partition}, the ledger {read.get(partition, 0)}"
        for partition, offset in offsets.committed["ledger"].items()
        if offset > read.get(partition, 0)
    ]


async def _versions_wrong(db: Db) -> list[str]:
    """Gaps in a week's versions, a current one that is not the last, versions without a change."""
    found = []
    for row in await db.fetch(_VERSIONS):
        name = f"{row['customer_no']} {row['week']}"
        numbers, shas = row["versions"], row["shas"]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{name} has versions {numbers}")
        if numbers and row["current_version"] != numbers[-1]:
            found.append(f"{name} has {numbers}, and {row['current_version']} as the current one")
        if row["is_rolled"] and not numbers:
            found.append(f"{name} is rolled without a version")
        for before, after in zip(shas, shas[1:], strict=False):
            if before == after:
                found.append(f"{name} has a version without a change")
    return found


async def _jobs_wrong(db: Db) -> list[str]:
    """Jobs that failed, and versions of finished weeks that told nobody, or twice."""
    failed = await db.fetch("SELECT id, kind, error FROM job WHERE state = 'failed'")
    found = [f"{row['kind']} {row['id']} failed: {row['error']}" for row in failed]
    twice = await db.fetch(_RUNS_TWICE)
    return found + [f"dataset {row['dataset_hash']} was trained on twice" for row in twice]


def _files(value: Any) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = (
        msgspec.json.decode(value) if isinstance(value, str | bytes) else value
    )
    return files


def _now() -> datetime:
    return datetime.now(UTC)


_WEEKS_DUE = """
SELECT count(*) FROM week_state w WHERE
    (closed_at IS NULL AND end_slot <= $1 AND NOT EXISTS (
        SELECT FROM device d WHERE d.customer_no = w.customer_no AND d.removed_at IS NULL
          AND coalesce(d.complete_through, 0) < w.end_slot))
    OR (closed_at IS NOT NULL AND dirty_seq > rolled_seq) OR forced_job_id IS NOT NULL
"""
_JOBS_DUE = "SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'waiting')"
_PROGRAMMES_STALE = "SELECT count(*) FROM programme WHERE stale_since IS NOT NULL"
_CLEAN_WEEKS = """
SELECT customer_no, week FROM week_state
WHERE rolled_at IS NOT NULL AND dirty_seq = rolled_seq AND current_version IS NOT NULL
"""
_ROWS_OF_DEVICE = """
SELECT s.slot, s.rev, s.tie, s.tz_offset_min FROM sample s JOIN device d USING (device_no)
WHERE d.id = $1
"""
_VERSIONS = """
SELECT w.customer_no, w.week, w.current_version, w.rolled_at IS NOT NULL AS is_rolled,
       coalesce(array_agg(v.version ORDER BY v.version) FILTER (WHERE v.version IS NOT NULL), '{}')
           AS versions,
       coalesce(array_agg(v.content_sha ORDER BY v.version)
           FILTER (WHERE v.version IS NOT NULL), '{}') AS shas
FROM week_state w LEFT JOIN week_version v USING (customer_no, week)
GROUP BY w.customer_no, w.week
"""
_RUNS_TWICE = """
SELECT t.dataset_hash FROM training_run t JOIN job j ON j.id = t.job_id AND j.state = 'succeeded'
GROUP BY t.dataset_hash, t.recipe_hash HAVING count(*) > 1
"""

_PARKED = "SELECT partition, record_offset, key FROM dead_letter"
