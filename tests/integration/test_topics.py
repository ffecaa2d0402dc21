"""Adopting a topic that was recreated: on from its beginning, under a new generation."""

import msgspec
import pytest

from fitstream.archived import ArchivedRecord, archive_key, encode_archive
from fitstream.broker import make_topics, open_positions, open_producer
from fitstream.errors import Halted
from fitstream.operations.topics import adopt_topic
from fitstream.repo import progress
from fitstream.repo.database import Repo
from fitstream.settings import Settings
from fitstream.store import open_store
from tests.conftest import RunningStack

pytestmark = pytest.mark.stack


async def test_adopting_starts_the_ledger_at_the_first_offset_of_a_new_generation(
    repo: Repo, services: Settings
) -> None:
    settings = msgspec.structs.replace(services, topic="adopted.samples.v1")
    await make_topics(settings)
    async with open_producer(settings) as producer:
        await producer.send(settings.topic, b"k", b"v", [])
    async with repo.transaction() as db:
        await progress.adopt_generation(db, settings.topic, 1)
    generation = await adopt_topic(settings, "adopted.archive")
    async with repo.connection() as db:
        assert await progress.current_generation(db, settings.topic) == generation == 2
        found = [await progress.progress_of(db, generation, p) for p in range(4)]
    assert [at.next_offset for at in found if at] == [0, 0, 0, 0]
    async with open_positions(settings, "adopted.archive") as positions:
        assert set((await positions.starts()).values()) == {0}


async def test_what_is_archived_and_was_not_read_is_said_to_be_lost_until_a_replay(
    repo: Repo, services: Settings
) -> None:
    settings = msgspec.structs.replace(services, topic="unread.samples.v1")
    await make_topics(settings)
    async with open_store(settings) as store, repo.transaction() as db:
        await progress.adopt_generation(db, settings.topic, 1)
        await progress.start_progress(db, 1, 2, 5)
        for span in ((0, 3), (4, 8)):
            records = [ArchivedRecord(offset, "cus_x", b"") for offset in span]
            await store.put_new(archive_key(settings.topic, 1, 2, span), encode_archive(records))
    await adopt_topic(settings, "unread.archive")
    async with repo.connection() as db:
        found = await db.fetch(
            "SELECT reader, partition, first_offset, next_offset FROM ingest_loss"
            " WHERE generation = 1 AND partition = 2 AND acknowledged_at IS NULL"
        )
        await db.execute("DELETE FROM ingest_loss WHERE generation = 1 AND partition = 2")
    assert [tuple(row) for row in found] == [("ledger", 2, 5, 9)]


async def test_adopting_is_refused_while_the_archive_runs(
    repo: Repo, services: Settings, stack: RunningStack
) -> None:
    async with repo.connection() as db:
        before = await progress.current_generation(db, services.topic)
    with pytest.raises(Halted, match="still run"):
        await adopt_topic(services)
    async with repo.connection() as db:
        assert await progress.current_generation(db, services.topic) == before
