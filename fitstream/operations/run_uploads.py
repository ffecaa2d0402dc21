"""`fitstream upload`: a file through check and ingestion, or one taken back, over the API."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import click

from fitstream.client import open_api
from fitstream.client.uploads import Upload, Uploads

_ROWS_SHOWN = "10"
_POLL_S = 0.5
_READ_S = 120.0


class Order(NamedTuple):
    """What the command was asked for: a file, or the id of an upload to undo."""

    file: Path | None = None
    customer: str = ""
    programme: str = ""
    kind: str | None = None
    mapping: str = ""
    priority: int | None = None
    ingest: bool = False
    undo: str = ""


def run_uploads(api: tuple[str, str], order: Order) -> int:
    """Does it through `api` (address, key); 1 when the file did not get as far as was asked.

    Raises what `Api.send` raises.
    """
    return asyncio.run(_run(api, order))


async def _run(api: tuple[str, str], order: Order) -> int:
    async with open_api(*api) as opened:
        uploads = Uploads(opened, order.customer)
        if order.file is None:
            return await _undo(Uploads(opened), order.undo)
        return await _send(uploads, order, order.file)


async def _undo(uploads: Uploads, upload_id: str) -> int:
    await uploads.undo(upload_id)
    found = await uploads.wait(upload_id, _POLL_S)
    click.echo(f"{found.id}: {found.state}, {found.removed:,} rows left the ledger")
    return 0 if found.state == "undone" else _failed(found)


async def _send(uploads: Uploads, order: Order, file: Path) -> int:
    name, _, version = order.mapping.partition("@")
    priority = "" if order.priority is None else str(order.priority)
    found = await uploads.send(
        file,
        format=order.kind or "",
        mapping=name,
        version=version,
        priority=priority,
        programme="" if order.customer else order.programme,
    )
    click.echo(f"{found.id}: uploaded, {found.size:,} bytes of {found.format}")
    found = await uploads.wait(found.id, _POLL_S)
    click.echo("\n".join(lines_of(found)))
    if found.state != "checked":
        return 1
    await _show_refused(uploads, found)
    return await _ingest(uploads, found) if order.ingest else 0


async def _ingest(uploads: Uploads, upload: Upload) -> int:
    await uploads.ingest(upload.id)
    found = await uploads.wait(upload.id, _POLL_S)
    if found.state != "ingested":
        return _failed(found)
    async with asyncio.timeout(_READ_S):
        while found.sent is not None and not found.sent.is_in_ledger:  # noqa: ASYNC110 - remote
            await asyncio.sleep(_POLL_S)
            found = await uploads.get(found.id)
    accepted = found.sent.accepted if found.sent else 0
    click.echo(f"{found.id}: {accepted:,} rows are in the ledger")
    return 0


async def _show_refused(uploads: Uploads, upload: Upload) -> None:
    if upload.report is None or not upload.report.outcomes.get("rejected"):
        return
    found = await uploads.rows(upload.id, outcome="rejected", limit=_ROWS_SHOWN)
    for row in found.items:
        click.echo(f"  row {row.index + 1}: {row.code}: {row.message}")


def lines_of(upload: Upload) -> list[str]:
    """What the check says, a line per outcome."""
    if upload.state == "unmapped":
        return _unmapped(upload)
    if upload.report is None:
        return [f"{upload.id}: {upload.state}: {upload.error or ''}"]
    counts = sorted(upload.report.outcomes.items(), key=lambda each: -each[1])
    head = f"{upload.id}: {upload.report.rows:,} rows of {upload.report.customers:,} customers"
    return [head, *(f"  {count:>10,} {outcome}" for outcome, count in counts)]


def _unmapped(upload: Upload) -> list[str]:
    why = upload.problem.message if upload.problem else "nobody has said what its columns are"
    lines = [f"{upload.id}: {why}"]
    if upload.suggestion is not None and upload.suggestion.spec is not None:
        columns = upload.suggestion.spec.get("columns", [])
        lines += [f"  {each['column']} looks like {each['to']}" for each in columns]
    return [*lines, "  name a mapping with --mapping, or make one on its page"]


def _failed(upload: Upload) -> int:
    click.echo(f"{upload.id}: {upload.state} while {upload.phase}: {upload.error or ''}", err=True)
    return 1
