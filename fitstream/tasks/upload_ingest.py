"""An upload's rows into Kafka, as any device's: acks=all, chunk by chunk, from where it stood.

A chunk that was sent and not yet noted is sent again after a kill; the merge rule makes that
nothing. Must not write the ledger itself.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from fitstream import events
from fitstream.broker import Producer, open_producer
from fitstream.crash import crash_point
from fitstream.events import SampleBatch
from fitstream.ids import new_batch_id
from fitstream.repo import jobs, progress, uploads
from fitstream.repo.uploads import Upload
from fitstream.samples import window
from fitstream.tasks.context import JobContext
from fitstream.tasks.upload_daily import ingest_daily
from fitstream.tasks.uploading import (
    CHUNK_ROWS,
    Source,
    Wearers,
    claimed_upload,
    file_of,
    source_of,
    table_of,
)
from fitstream.uploads.judging import Group, Judged, chunks, judge

_AT_ONCE = 16
_REJECTS_KEPT = 100


class Sent(msgspec.Struct):
    """What Kafka has; `offsets` are the last ones by partition of the topic's `generation`."""

    rows: int = 0
    accepted: int = 0
    refused: int = 0
    batches: int = 0
    generation: int = 1
    offsets: dict[int, int] = {}


async def upload_ingest(context: JobContext) -> None:
    """Ends when every row that is acceptable was acknowledged. Raises Unavailable, Rejected."""
    upload = await claimed_upload(context, "ingesting")
    if upload.format == "legacy_daily":
        await ingest_daily(context, upload)
        return
    async with file_of(context, upload) as path, open_producer(context.settings) as producer:
        table = table_of(path, upload, context.settings)
        source = source_of(table, upload.spec or {})
        await _Ingest(context, upload, producer).run(source)
    async with context.repo.transaction() as db:
        await uploads.end_ingest(db, upload)
        done = msgspec.to_builtins(await _noted(db, upload), str_keys=True)
        await jobs.finish_job(db, context.job, "succeeded", done)


class _Ingest:
    """One pass over the file, from the row at which the one before ended."""

    def __init__(self, context: JobContext, upload: Upload, producer: Producer) -> None:
        self._context = context
        self._upload = upload
        self._producer = producer
        self._sent = msgspec.convert(upload.result, Sent, strict=False)
        self._devices: dict[int, str] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, source: Source) -> None:
        """Sends what is left."""
        context = self._context
        rows = int(self._upload.report.get("rows", 0))
        accepted = window(context.now(), context.settings.backfill_days)
        wearers = Wearers(self._upload, self._upload.spec)
        async with context.repo.connection() as db:
            topic = context.settings.topic
            self._sent.generation = await progress.current_generation(db, topic)
        for chunk in chunks(source.table, source.mapper, source.is_strict, CHUNK_ROWS):
            if chunk.next <= self._upload.sent:
                continue
            async with context.repo.transaction() as db:
                known = await wearers.of(db, chunk.keys)
                judged = judge(chunk, known, source.mapper, accepted)
                await self._make_devices(db, judged.groups)
            await self._send(judged)
            crash_point("upload_after_send")
            await self._note(chunk.next)
            context.tell(phase="sending", rows=chunk.next, of=max(rows, chunk.next))

    async def _make_devices(self, db: Any, groups: Sequence[Group]) -> None:
        for group in groups:
            number = group.wearer.customer_no
            if number not in self._devices and group.columns.slot:
                device = await uploads.device_for(db, self._upload, number)
                self._devices[number] = device.id

    async def _send(self, judged: Judged) -> None:
        """All groups of a chunk, a few at once; returns when Kafka has every one."""
        groups = [group for group in judged.groups if group.columns.slot]
        await asyncio.gather(*(self._send_group(group) for group in groups))
        self._sent.refused += len(judged.refused) + sum(len(g.refused) for g in judged.groups)

    async def _send_group(self, group: Group) -> None:
        now_ms = int(self._context.now().timestamp() * 1000)
        batch = SampleBatch(
            batch_id=new_batch_id(),
            customer_id=group.wearer.id,
            device_id=self._devices[group.wearer.customer_no],
            received_at=now_ms,
            columns=group.columns,
            rejects=[(each.slot, each.code) for each in group.refused[:_REJECTS_KEPT]],
        )
        headers = (
            ("batch_id", batch.batch_id.encode()),
            ("device_id", batch.device_id.encode()),
            ("received_at", str(now_ms).encode()),
            ("schema", events.SCHEMA.encode()),
        )
        topic, key = self._context.settings.topic, batch.customer_id.encode()
        async with self._slots:
            stored = await self._producer.send(topic, key, events.encode(batch), headers)
        last = self._sent.offsets.get(stored.partition, -1)
        self._sent.offsets[stored.partition] = max(last, stored.offset)
        self._sent.accepted += len(group.columns.slot)
        self._sent.batches += 1

    async def _note(self, rows: int) -> None:
        self._sent.rows = rows
        result = msgspec.to_builtins(self._sent, str_keys=True)
        async with self._context.repo.transaction() as db:
            await uploads.note_sent(db, self._upload, self._context.job, rows, result)


async def _noted(db: Any, upload: Upload) -> Sent:
    found = await uploads.get_upload(db, upload.id)
    return msgspec.convert(found.result, Sent, strict=False)
