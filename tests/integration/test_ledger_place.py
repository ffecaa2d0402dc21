"""Where the ledger goes on in a topic, and when it halts instead of guessing."""

import random
from collections.abc import AsyncIterator

import pytest

from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.ledger import LedgerEffect
from fitstream.consumers.loop import Span
from fitstream.consumers.stream import Stream
from fitstream.errors import Halted
from fitstream.repo import progress
from fitstream.repo.database import Repo
from tests.fakes.broker import FakeBroker, FakeProducer, FakeSource

pytestmark = pytest.mark.stack
TOPIC, GROUP = "place.samples.v1", "ledger"


class Place:
    """A topic of one partition, under a generation of its own, and the ledger's place in it."""

    def __init__(self, repo: Repo, broker: FakeBroker, source: FakeSource) -> None:
        self.repo, self.broker = repo, broker
        self.generation = random.randrange(1_000, 30_000)
        self._source = source
        self._stream = Stream(repo, TOPIC, self.generation)

    def write(self, *names: bytes) -> None:
        """Records by their batch ids."""
        for name in names:
            self.broker.append(TOPIC, b"cus_1", b"value", [("batch_id", name)])

    async def read(self, first: int, end: int, last: str) -> None:
        """The ledger has read these offsets."""
        await self._effect().write(0, Span(first, end, last), [])

    def _effect(self) -> LedgerEffect:
        dead = DeadLetters(self.repo, FakeProducer(self.broker), "dead", self.generation)
        return LedgerEffect(self._source, dead, self._stream)

    async def resume(self) -> int:
        """Where a ledger that starts now goes on."""
        async with self.repo.transaction() as db:
            await progress.adopt_generation(db, TOPIC, self.generation)
        try:
            return await self._effect().resume(0, self.broker.ends(TOPIC, 0))
        finally:
            async with self.repo.transaction() as db:
                await db.execute(
                    "DELETE FROM topic_generation WHERE generation = $1", self.generation
                )


@pytest.fixture
async def place(repo: Repo) -> AsyncIterator[Place]:
    broker = FakeBroker(partitions=1)
    async with broker.source(TOPIC, GROUP) as source:
        made = Place(repo, broker, source)
        made.write(b"a", b"b", b"c")
        yield made


async def test_it_begins_at_the_beginning_and_goes_on_behind_what_it_has_read(place: Place) -> None:
    assert await place.resume() == 0
    await place.read(0, 2, "b")
    assert await place.resume() == 2


async def test_a_partition_that_begins_behind_its_start_was_never_read(place: Place) -> None:
    place.broker.trim(TOPIC, 0, 2)
    with pytest.raises(Halted) as error:
        await place.resume()
    assert error.value.code == "never_read"


@pytest.mark.parametrize("records", [0, 1, 2, 9], ids=["empty", "shorter", "as long", "longer"])
async def test_a_topic_that_was_made_anew_halts_it_however_long_it_is(
    place: Place, records: int
) -> None:
    await place.resume()
    await place.read(0, 2, "b")
    place.broker._logs.clear()
    place.write(*[b"other"] * records)
    with pytest.raises(Halted, match="recreated") as error:
        await place.resume()
    assert error.value.code == "topic_recreated"


async def test_what_retention_dropped_is_a_loss_and_not_a_halt(place: Place) -> None:
    await place.resume()
    await place.read(0, 1, "a")
    place.broker.trim(TOPIC, 0, 2)
    assert await place.resume() == 2
    async with place.repo.connection() as db:
        lost = await db.fetchrow(
            "DELETE FROM ingest_loss WHERE generation = $1 RETURNING first_offset, next_offset",
            place.generation,
        )
    assert tuple(lost) == (1, 2)
