"""Dead letters: records that can never be applied, kept in topic and table for a person."""

from collections.abc import Sequence

from fitstream.broker import Producer
from fitstream.consumers.loop import Reject
from fitstream.errors import Rejected
from fitstream.logs import get
from fitstream.metrics import count
from fitstream.repo import progress
from fitstream.repo.database import Repo

log = get(__name__)


class DeadLetters:
    """Parks records in the dead-letter topic and table, original bytes kept."""

    def __init__(self, repo: Repo, producer: Producer, topic: str, generation: int) -> None:
        self._repo = repo
        self._producer = producer
        self._topic = topic
        self._generation = generation

    async def park(self, rejects: Sequence[Reject]) -> None:
        """Topic first, then table; a repeat adds nothing to the table."""
        for reject in rejects:
            await self._publish(reject)
        async with self._repo.transaction() as db:
            await self.insert(db, rejects)

    async def _publish(self, reject: Reject) -> None:
        record = reject.record
        headers = [
            ("topic", record.topic.encode()),
            ("partition", str(record.partition).encode()),
            ("offset", str(record.offset).encode()),
            ("reason", reject.code.encode()),
        ]
        try:
            await self._producer.send(self._topic, record.key or b"", record.value, headers)
        except Rejected as error:  # larger than our producer may send: the table has all its bytes
            log.warning("not_in_dead_topic", offset=record.offset, reason=error.code)

    async def insert(self, db: object, rejects: Sequence[Reject]) -> None:
        """Into the table only, in the caller's transaction."""
        for reject in rejects:
            record = reject.record
            log.warning("record_parked", reason=reject.code, offset=record.offset)
            count("dead_letters", reason=reject.code)
            where = (record.topic, self._generation, record.partition, record.offset)
            detail = reject.detail.replace("\0", "\ufffd")  # it may quote the record
            what = (reject.code, detail, record.key, record.value)
            await progress.insert_dead_letter(db, (*where, *what))
