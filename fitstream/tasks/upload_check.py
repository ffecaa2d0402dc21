"""The dry run of an upload: what the file begins with, then a verdict on every row.

Changes nothing in the ledger. A file whose columns nobody has named waits for a mapping.
"""

from pathlib import Path
from typing import Any

import msgspec

from fitstream import events
from fitstream.errors import Rejected
from fitstream.repo import jobs, uploads
from fitstream.repo.uploads import Phase, ThereRow, Upload
from fitstream.samples import window
from fitstream.tasks.context import JobContext
from fitstream.tasks.upload_daily import check_daily
from fitstream.tasks.uploading import (
    CHUNK_ROWS,
    Source,
    Wearers,
    claimed_upload,
    file_of,
    source_of,
    table_of,
)
from fitstream.uploads.compare import Seen, There, difference
from fitstream.uploads.judging import Group, chunks, judge
from fitstream.uploads.preview import HEAD_ROWS, plain
from fitstream.uploads.report import (
    Part,
    Report,
    RowVerdict,
    Summing,
    encode_part,
    part_key,
    refusals,
)
from fitstream.uploads.suggest import suggest
from fitstream.uploads.tabular import TableFile
from fitstream.uploads.timestamps import RowRefused

_HEAD_COLUMNS = 200


async def upload_check(context: JobContext) -> None:
    """Ends with a report, or with the wish for a mapping. A repeat says the same."""
    upload = await claimed_upload(context, "checking")
    async with file_of(context, upload) as path:
        if upload.format == "legacy_daily":
            await check_daily(context, upload, path)
        else:
            await _check(context, upload, path)


async def _check(context: JobContext, upload: Upload, path: Path) -> None:
    table = table_of(path, upload, context.settings)
    rows = _first_rows(table)
    suggestion = suggest(table.header, rows)
    head = {
        "columns": table.header[:_HEAD_COLUMNS],
        "kinds": table.kinds[:_HEAD_COLUMNS],
        "rows": [[plain(cell) for cell in row[:_HEAD_COLUMNS]] for row in rows],
        "suggestion": suggestion,
    }
    spec = upload.spec
    if spec is None and suggestion.is_sure and suggestion.spec is not None:
        spec = msgspec.to_builtins(suggestion.spec)
    async with context.repo.transaction() as db:
        await uploads.set_head(db, upload, head)
        if upload.spec is None and spec is not None:
            await uploads.set_mapping(db, upload, None, spec)
    if spec is None:
        await _end(context, upload, "unmapped", {})
        return
    try:
        source = source_of(table, spec)
        report = await _DryRun(context, upload, source).run(spec)
    except Rejected as error:
        if error.code != "bad_mapping":
            raise
        problem = {"column": error.extra.get("column", ""), "message": error.message}
        await _end(context, upload, "unmapped", {"problem": problem})
        return
    await _end(context, upload, "checked", msgspec.to_builtins(report))


async def _end(context: JobContext, upload: Upload, phase: Phase, report: dict[str, Any]) -> None:
    """The one commit of a check."""
    result = {"outcomes": report.get("outcomes", {}), "rows": report.get("rows", 0)}
    async with context.repo.transaction() as db:
        await uploads.end_check(db, upload, phase, report)
        await jobs.finish_job(db, context.job, "succeeded", result if report else {})
    kept = report.get("prefix", "")
    async for key in context.store.list_keys(f"{_folder(upload)}check-"):
        if not kept or not key.startswith(kept):
            await context.store.delete(key)


def _first_rows(table: TableFile) -> list[list[Any]]:
    """The first rows that can be read, of the columns that can be read."""
    plain_columns = getattr(table, "plain_columns", None)
    columns = table.header if plain_columns is None else plain_columns()
    found: list[list[Any]] = []
    for row in table.rows(columns, is_strict=False):
        if not isinstance(row, RowRefused):
            found.append(list(row))
        if len(found) == HEAD_ROWS:
            break
    return found


def _folder(upload: Upload) -> str:
    return upload.object_key.rpartition("/")[0] + "/"


class _DryRun:
    """One pass over the file."""

    def __init__(self, context: JobContext, upload: Upload, source: Source) -> None:
        self._context = context
        self._upload = upload
        self._source = source
        self._prefix = f"{_folder(upload)}check-{context.job.id}-{context.job.lease_epoch:04d}/"
        self._seen = Seen()

    async def run(self, spec: dict[str, Any]) -> Report:
        """The sums; the verdicts lie in the store by then. Raises Rejected, Unavailable."""
        context, table = self._context, self._source.table
        accepted = window(context.now(), context.settings.backfill_days)
        wearers = Wearers(self._upload, spec)
        summing = Summing(self._prefix)
        for chunk in chunks(table, self._source.mapper, self._source.is_strict, CHUNK_ROWS):
            async with context.repo.connection() as db:
                known = await wearers.of(db, chunk.keys)
                judged = judge(chunk, known, self._source.mapper, accepted)
                there = await uploads.rows_at(db, _places(judged.groups))
            verdicts = refusals(judged.refused, None)
            for group in judged.groups:
                verdicts += refusals(group.refused, group.wearer.id)
                verdicts += self._compare(group, there)
            summing.add(chunk.first, chunk.next, verdicts)
            key = part_key(self._prefix, Part(chunk.first, chunk.next, {}))
            await context.store.put_new(key, encode_part(verdicts))
            context.tell(phase="checking", done=round(100 * table.share()), of=100)
        return summing.done()

    def _compare(
        self, group: Group, there: dict[tuple[int, int], list[ThereRow]]
    ) -> list[RowVerdict]:
        found = []
        number = group.wearer.customer_no
        rows = zip(group.indexes, events.rows(group.columns), strict=True)
        for index, (slot, row) in rows:
            again = self._seen.note(number, slot, row)
            if again is not None:
                found.append(RowVerdict(index, again, group.wearer.id, slot))
                continue
            others = [There(each.priority, each.values) for each in there.get((number, slot), ())]
            outcome, changes = difference(row, self._upload.priority, others)
            found.append(RowVerdict(index, outcome, group.wearer.id, slot, changes=changes))
        return found


def _places(groups: Any) -> list[tuple[int, int]]:
    return [(group.wearer.customer_no, slot) for group in groups for slot in group.columns.slot]
