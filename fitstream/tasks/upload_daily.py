"""An upload of the predecessor's daily CSV: summaries of days, never samples.

Such a file carries its phone's session tokens. They end with the check, and what is kept from then
on are the summaries alone.
"""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from fitstream.errors import Rejected
from fitstream.ids import hashed
from fitstream.legacydaily import PROVENANCE, DailySummary, parse
from fitstream.repo import accounts, daily, jobs, uploads
from fitstream.repo.daily import Source, Stored
from fitstream.repo.uploads import Upload, WearerRow
from fitstream.samples import Verdict
from fitstream.tasks.context import JobContext
from fitstream.uploads.compare import Outcome
from fitstream.uploads.report import (
    Part,
    RowVerdict,
    Summing,
    encode_part,
    part_key,
    refusals,
)

_BYTES_MAX = 16 * 2**20
_ROWS_MAX = 20_000
_KEPT = "summaries.msgpack"
_NOTES = frozenset({"heart_unreadable"})  # the row counts in spite of it


class Kept(msgspec.Struct):
    """What is left of the file: its days, and the verdicts on rows that are none."""

    summaries: list[DailySummary]
    rejected: list[Verdict]


async def check_daily(context: JobContext, upload: Upload, path: Path) -> None:
    """The dry run of a daily file. Raises Rejected for one that is none, or of nobody."""
    wearer = await _wearer(context, upload)
    kept = await _strip(context, upload, path, wearer)
    async with context.repo.connection() as db:
        there = await daily.summaries_of(db, wearer.customer_no, (date.min, date.max))
    verdicts = _verdicts(kept, wearer.id, there)
    folder = upload.object_key.rpartition("/")[0]
    prefix = f"{folder}/check-{context.job.id}-{context.job.lease_epoch:04d}/"
    summing = Summing(prefix)
    rows = len(verdicts)
    if rows:
        summing.add(0, rows, verdicts)
        await context.store.put_new(part_key(prefix, Part(0, rows, {})), encode_part(verdicts))
    report = msgspec.to_builtins(summing.done())
    async with context.repo.transaction() as db:
        await uploads.end_check(db, upload, "checked", report)
        await jobs.finish_job(db, context.job, "succeeded", {"outcomes": report["outcomes"]})


async def ingest_daily(context: JobContext, upload: Upload) -> None:
    """Keeps the days under the upload's name, in one transaction. A repeat changes nothing."""
    wearer = await _wearer(context, upload)
    kept = decode(await context.store.get(upload.object_key))
    async with context.repo.transaction() as db:
        source = Source(PROVENANCE, upload.id)
        await daily.store(db, wearer.customer_no, source, kept.summaries, context.now())
        result = {"rows": len(kept.summaries), "accepted": len(kept.summaries), "batches": 0}
        await uploads.note_sent(db, upload, context.job, len(kept.summaries), result)
        await uploads.end_ingest(db, upload)
        await jobs.finish_job(db, context.job, "succeeded", result)


async def undo_daily(context: JobContext, upload: Upload) -> None:
    """Takes the days of the upload back."""
    wearer = await _wearer(context, upload)
    async with context.repo.transaction() as db:
        removed = await daily.forget_origin(db, wearer.customer_no, upload.id)
        await uploads.end_undo(db, upload)
        await jobs.finish_job(db, context.job, "succeeded", {"days": removed})


def decode(body: bytes) -> Kept:
    """What `_strip` has kept."""
    return msgspec.msgpack.decode(body, type=Kept)


async def _wearer(context: JobContext, upload: Upload) -> WearerRow:
    if upload.customer_no is None:
        text = "a daily CSV is about one customer; upload it at theirs"
        raise Rejected("unsupported_format", text, 422)
    async with context.repo.connection() as db:
        return await uploads.wearer_no(db, upload.customer_no)


async def _strip(context: JobContext, upload: Upload, path: Path, wearer: WearerRow) -> Kept:
    """The days of the file; the file itself is gone then, and the sessions in it have ended."""
    if upload.object_key.endswith(_KEPT):
        return decode(await asyncio.to_thread(path.read_bytes))
    if upload.size > _BYTES_MAX:
        raise Rejected("file_too_large", f"a daily CSV has at most {_BYTES_MAX} bytes", 422)
    body = await asyncio.to_thread(path.read_bytes)
    parsed = parse(body, wearer.zone, context.now(), _ROWS_MAX)
    kept = Kept(parsed.summaries, parsed.rejected)
    key = upload.object_key.rpartition("/")[0] + f"/{context.job.lease_epoch:04d}-{_KEPT}"
    await context.store.put_new(key, msgspec.msgpack.encode(kept))
    async with context.repo.transaction() as db:
        for token in parsed.tokens:
            await accounts.delete_session(db, hashed(token))
        await uploads.set_object(db, upload, key)
    await context.store.delete(upload.object_key)
    return kept


def _verdicts(kept: Kept, customer: str, there: list[Stored]) -> list[RowVerdict]:
    """One per row: where the refused ones stand is known, the others fill the places between."""
    refused = [each for each in kept.rejected if each.code not in _NOTES]
    taken = {each.index for each in refused}
    known = {each.day: each for each in there if each.provenance == PROVENANCE}
    found = refusals(refused, customer)
    index = 0
    for summary in kept.summaries:
        while index in taken:
            index += 1
        outcome = _outcome(summary, known.get(summary.day))
        text = f"{summary.day:%F}"
        found.append(RowVerdict(index, outcome, customer, None, None, text))
        index += 1
    return sorted(found, key=lambda each: each.index)


def _outcome(summary: DailySummary, there: Stored | None) -> Outcome:
    if there is None:
        return "new"
    if all(_said(there, name) == value for name, value in _values(summary).items()):
        return "same"
    return "supersedes" if summary.recorded_at >= there.recorded_at else "loses"


def _values(summary: DailySummary) -> dict[str, Any]:
    fields = msgspec.structs.asdict(summary)
    del fields["heart_zones"]
    return {name: value for name, value in fields.items() if value is not None}


def _said(there: Stored, name: str) -> Any:
    return getattr(there, name)
