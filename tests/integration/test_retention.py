"""Kafka's retention runs out before the ledger has read: proven, said, and mended by a replay.

Real Kafka, Postgres, S3, `fitstream replay` as a process, and a ledger that goes on meanwhile.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from fitstream import events
from fitstream.broker import make_topics, open_producer, open_source
from fitstream.clock import slot_of
from fitstream.consumers.archive import ArchiveEffect
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.ledger import LedgerEffect
from fitstream.consumers.loop import Effect, Loop
from fitstream.consumers.start import limits_of
from fitstream.consumers.stream import open_stream
from fitstream.events import SampleBatch, SampleColumns
from fitstream.ids import new_id
from fitstream.merge import Row, merged
from fitstream.operations.verify import Scope, acknowledge_losses, verify
from fitstream.repo import customers, devices
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import open_store
from tests.databases import create_database
from tests.real import eventually, last_monday

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
FIRST = slot_of(last_monday(2))


@pytest.fixture
async def place(services: Settings) -> AsyncIterator["Place"]:
    """A database and a topic of one partition of this test's own, with one wearer."""
    name = new_id("retention").lower().replace("-", "_")
    await create_database(services, name)
    settings = msgspec.structs.replace(
        services,
        postgres=f"{services.postgres.rpartition('/')[0]}/{name}",
        topic=new_id("topic"),
        dead_topic=new_id("dead"),
        topic_partitions=1,
        archive_max_age_s=0.1,
        batch_max_age_s=0.05,
        stuck_after_s=1,
    )
    await make_topics(settings)
    async with open_repo(settings) as own:
        await migrate(own, datetime.now(UTC).date())
        async with own.transaction() as db:
            customer = await customers.create_customer(db, NewCustomer(external_id=name))
            device = await devices.create_device(db, customer.customer_no, "watch", "w", None)
        yield Place(settings, own, customer.id, device.id)


class Place:
    """One system's stores, and what its device was acknowledged."""

    def __init__(self, settings: Settings, repo: Repo, customer: str, device: str) -> None:
        self.settings = settings
        self.repo = repo
        self._customer, self._device = customer, device
        self.sent: dict[int, list[Row]] = {}
        self.records = 0

    async def post(self, *hours: int, rev: int = 0) -> None:
        """A record for each hour, as the gateway sends it."""
        async with open_producer(self.settings) as producer:
            for hour in hours:
                key, value, headers = self._record(hour, rev)
                await producer.send(self.settings.topic, key, value, headers)

    def _record(self, hour: int, rev: int = 0) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        """Key, value and headers of an hour that counts as sent."""
        slots = [FIRST + hour * 4 + quarter for quarter in range(4)]
        columns = SampleColumns(slot=slots, steps=[hour, 1, 2, 3 + rev], rev=rev)
        batch = SampleBatch(
            batch_id=new_id("b"),
            received_at=int(datetime.now(UTC).timestamp() * 1000),
            columns=columns,
            customer_id=self._customer,
            device_id=self._device,
        )
        self.records += 1
        for slot, row in events.rows(columns):
            self.sent.setdefault(slot, []).append(row)
        headers = [("batch_id", batch.batch_id.encode())]
        return batch.customer_id.encode(), events.encode(batch), headers

    async def post_as_transaction(self, hour: int) -> None:
        """A record as a foreign transactional producer sends it: its end mark takes an offset."""
        key, value, headers = self._record(hour)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka, transactional_id=new_id("tx")
        )
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send(self.settings.topic, value, key, headers=headers)
        finally:
            await producer.stop()

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[None]:
        """The ledger or the archive, in a group of its own."""
        stop = asyncio.Event()
        async with (
            open_store(self.settings) as store,
            open_producer(self.settings) as producer,
            open_source(self.settings, self.settings.topic, self.group(name)) as source,
        ):
            stream = await open_stream(self.repo, self.settings.topic)
            dead = DeadLetters(self.repo, producer, self.settings.dead_topic, 1)
            archive = (store, DataKeys(store, master_keys(self.settings)))
            effect: Effect[object] = (
                LedgerEffect(source, dead, stream)  # type: ignore[assignment]
                if name == "ledger"
                else ArchiveEffect(source, archive, dead, stream)
            )
            running = asyncio.create_task(
                Loop(source, effect, limits_of(self.settings), stop).run()
            )
            try:
                yield
            finally:
                stop.set()
                await running

    def group(self, name: str) -> str:
        return f"{self.settings.topic}.{name}"

    async def read_until(self, name: str, offset: int) -> None:
        """Runs a consumer until it has passed `offset`."""
        async with self.running(name):
            await eventually(lambda: self._has_passed(name, offset))

    async def _has_passed(self, name: str, offset: int) -> bool:
        if name == "ledger":
            return bool(await self.value("SELECT max(next_offset) FROM ingest_progress") == offset)
        async with open_store(self.settings) as store:
            keys = [key async for key in store.list_keys(f"raw/{self.settings.topic}/")]
        return any(f"-{offset - 1:019d}." in key for key in keys)

    async def drop_before(self, offset: int) -> None:
        """What retention does when its days are over."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka)
        await admin.start()
        try:
            at = {TopicPartition(self.settings.topic, 0): RecordsToDelete(before_offset=offset)}
            await admin.delete_records(at)
        finally:
            await admin.close()

    async def value(self, query: str) -> object:
        async with self.repo.connection() as db:
            found: object = await db.fetchval(query)
        return found

    async def is_all_there(self) -> bool:
        """The ledger is the pure merge of what was sent."""
        async with self.repo.connection() as db:
            rows = await db.fetch("SELECT slot, rev, tie FROM sample")
        held = {row["slot"]: (row["rev"], row["tie"]) for row in rows}
        wanted = {slot: merged(versions) for slot, versions in self.sent.items()}
        return held == {slot: (row.rev, row.tie) for slot, row in wanted.items()}

    async def differences(self) -> dict[str, int]:
        return (await verify(self.settings, Scope(group=self.group("ledger")))).differences


async def replay(settings: Settings, *options: str) -> tuple[int | None, str]:
    """`fitstream replay` as a process."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FITSTREAM_")}
    fields = ["kafka", "postgres", "redis", "secret_key", "topic", "dead_topic"]
    fields += ["s3_endpoint", "s3_bucket", "s3_access_key", "s3_secret_key"]
    own = {f"FITSTREAM_{name.upper()}": str(getattr(settings, name)) for name in fields}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fitstream", "replay", "--from-archive", *options),
        env=environ | own,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_a_loss_is_proven_and_said_and_a_replay_beside_a_living_ledger_mends_it(
    place: Place,
) -> None:
    await place.post(*range(6))
    await place.read_until("ledger", 6)
    await place.post(*range(6, 20))
    await place.post(3, 7, rev=2)
    await place.read_until("archive", 22)
    await place.drop_before(15)
    await place.post(20, 21)
    await place.read_until("ledger", 24)  # it goes on behind the hole
    assert not await place.is_all_there()
    assert await place.value("SELECT first_offset::text || next_offset FROM ingest_loss") == "615"
    assert "loss" in await place.differences()
    assert await acknowledge_losses(place.settings) == 1
    assert "loss" not in await place.differences()
    await place.read_until("archive", 24)
    async with place.running("ledger"):
        replaying = asyncio.create_task(replay(place.settings))
        for hour in range(22, 40):  # devices do not wait for a replay
            await place.post(hour)
        code, said = await replaying
        assert code == 0, said
        assert "32 new" in said  # nine hours were lost, one of them was sent again since
        await eventually(place.is_all_there)
    assert await place.value("SELECT max(next_offset) FROM ingest_progress") == place.records
    assert await place.value("SELECT count(*) FROM dead_letter") == 0


async def test_an_offset_without_a_record_is_on_record_and_stops_neither_ledger_nor_archive(
    place: Place,
) -> None:
    await place.post(0, 1)
    await place.post_as_transaction(2)  # offset 2, and its end mark is 3
    await place.post(3)
    for name in ("ledger", "archive"):
        await place.read_until(name, 5)
    await place.post_as_transaction(4)  # offset 5; nothing comes after its end mark
    await place.read_until("ledger", 7)
    await place.post(5)
    await place.read_until("ledger", 8)  # started anew behind it
    assert await place.is_all_there()
    found = await verify(place.settings, Scope(group=place.group("ledger")))
    assert [loss.detail.partition("found")[0] for loss in found.findings("loss")] == [
        "of the archive: offsets 3 to 3, ",
        "of the ledger: offsets 3 to 3, ",
        "of the ledger: offsets 6 to 6, ",
    ]


@pytest.mark.slow
async def test_what_kafka_dropped_before_the_archive_had_it_is_said_too(place: Place) -> None:
    await place.post(*range(4))
    await place.read_until("archive", 4)
    await place.post(*range(4, 10))
    await place.read_until("ledger", 10)
    await place.drop_before(7)
    await place.read_until("archive", 10)
    found = await verify(place.settings, Scope(group=place.group("ledger")))
    (loss,) = found.findings("loss")
    assert loss.detail.startswith("of the archive: offsets 4 to 6")
    code, said = await replay(place.settings)
    assert (code, "0 new" in said) == (0, True)  # the ledger has read them itself
    assert await place.is_all_there()
