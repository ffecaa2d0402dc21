"""Uploads: a file in, its dry run, ingestion, undo. All of them, or those of one customer."""

from collections.abc import Sequence
from typing import get_args

import msgspec
from aiohttp import web

from fitstream.client import uploads as shapes
from fitstream.client.data import Items
from fitstream.clock import slot_start
from fitstream.errors import Conflict, Rejected
from fitstream.gateway import uploading
from fitstream.gateway.api.answers import after, answer, body, limit, now, page
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.idempotency import answered_once
from fitstream.gateway.keys import REPO, SETTINGS, STORE
from fitstream.gateway.parameters import unknown
from fitstream.gateway.principal import PRINCIPAL, caller_of
from fitstream.gateway.receiving import body_pieces, received
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.gateway.uploading import LOWEST, ReadAs, Wanted
from fitstream.repo import customers, uploads
from fitstream.repo.sorts import UPLOADS
from fitstream.repo.uploads import Upload
from fitstream.samples import window
from fitstream.store import Store
from fitstream.uploads.compare import OUTCOMES
from fitstream.uploads.opening import Format
from fitstream.uploads.preview import Head, as_they_stand, preview
from fitstream.uploads.report import Report, RowVerdict, decode_part, part_key, parts_with
from fitstream.uploads.spec import MappingSpec

FORMATS: tuple[str, ...] = get_args(Format)
STATES = (
    "checking", "unmapped", "checked", "ingesting", "ingested", "undoing", "undone", "deleted",
    "failed", "cancelled",
)  # fmt: skip
_NAME_MAX = 200
_PARTS_AT_ONCE = 8


async def create_upload(request: web.Request) -> web.Response:
    wanted = _wanted(request)
    pieces, sender = body_pieces(request), caller_of(request[PRINCIPAL])
    async with received(request, sender, pieces, request.app[SETTINGS]) as file:

        async def create() -> web.Response:
            upload = await uploading.create(request, file, wanted)
            return await _shown(request, upload, 201)

        return await answered_once(request, bytes.fromhex(file.sha256), create)


async def list_uploads(request: web.Request) -> web.Response:
    asked = slice_of(request, UPLOADS)
    owner = request.match_info.get("customer")
    state, about = request.query.get("state") or None, request.query.get("customer") or None
    async with request.app[REPO].connection() as db:
        name = request.query.get("search") or None
        only = uploads.Only(owner, None if owner else about, state, within(request), name)
        found = await uploads.list_uploads(db, only, asked)
        items = [await uploading.shown(db, upload) for upload in found.items]
    return page_of(items, asked, found.following)


async def get_upload(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(await uploading.shown(db, await uploading.find(db, request)))


async def list_rows(request: web.Request) -> web.Response:
    count = limit(request)
    only = _outcomes(request)
    start = after(request, int) or 0
    async with request.app[REPO].connection() as db:
        upload = await uploading.find(db, request)
    report = uploading.report_of(upload)
    if report is None:
        raise Conflict("wrong_state", f"the upload is {upload.state}; it has not been checked yet")
    found, following = await rows_of(request.app[STORE], report, (start, only), count)
    return page([_row(row) for row in found], following)


async def rows_of(
    store: Store, report: Report, asked: tuple[int, Sequence[str]], count: int
) -> tuple[list[RowVerdict], int | None]:
    """Up to `count` verdicts from a row on, of some outcomes; and the row to go on from."""
    start, only = asked
    parts = parts_with(report, only, start)
    found: list[RowVerdict] = []
    for part in parts[:_PARTS_AT_ONCE]:
        rows = decode_part(await store.get(part_key(report.prefix, part)))
        found += [row for row in rows if row.index >= start and (not only or row.outcome in only)]
        if len(found) > count:
            return found[:count], found[count].index
    left = parts[_PARTS_AT_ONCE:]
    return found, left[0].first if left else None


async def preview_upload(request: web.Request) -> web.Response:
    read_as = await body(request, ReadAs)
    async with request.app[REPO].transaction() as db:
        upload = await uploading.find(db, request)
        _, spec = await uploading.spec_of(db, request, upload, _unsaved(read_as))
        zone = "UTC"
        if upload.customer is not None:
            zone = (await customers.get_customer(db, upload.customer)).zone
    return answer(previewed(request, upload, spec, zone))


def previewed(
    request: web.Request, upload: Upload, spec: dict[str, object] | None, zone: str
) -> shapes.Preview:
    """The first rows by a mapping; as they stand where none is given."""
    head = msgspec.convert(upload.head, Head)
    if spec is None:
        rows = as_they_stand(head)
    else:
        accepted = window(now(request), request.app[SETTINGS].backfill_days)
        rows = preview(head, msgspec.convert(spec, MappingSpec), zone, accepted)
    shown = [msgspec.convert(msgspec.to_builtins(row), shapes.PreviewedRow) for row in rows]
    return shapes.Preview(columns=head.columns, kinds=head.kinds, rows=shown)


async def check_upload(request: web.Request) -> web.Response:
    read_as = await body(request, ReadAs)
    return await _shown(request, await uploading.check(request, read_as), 202)


async def ingest_upload(request: web.Request) -> web.Response:
    return await _shown(request, await uploading.ingest(request), 202)


async def undo_upload(request: web.Request) -> web.Response:
    return await _shown(request, await uploading.undo(request), 202)


async def cancel_upload(request: web.Request) -> web.Response:
    return await _shown(request, await uploading.cancel(request), 202)


async def delete_upload(request: web.Request) -> web.Response:
    await uploading.remove(request)
    return web.Response(status=204)


async def _shown(request: web.Request, upload: Upload, status: int) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(await uploading.shown(db, upload), status)


def _row(row: RowVerdict) -> shapes.UploadRow:
    return shapes.UploadRow(
        index=row.index,
        outcome=row.outcome,
        customer_id=row.customer,
        slot=None if row.slot is None else slot_start(row.slot),
        code=row.code,
        message=row.message,
        changes=row.changes,
    )


def _wanted(request: web.Request) -> Wanted:
    """The query of a new upload. Raises Rejected(invalid)."""
    query = request.query
    return Wanted(
        name=named(query.get("name", "")),
        format=query.get("format") or None,  # type: ignore[arg-type]  # one of FORMATS
        customer=request.match_info.get("customer"),
        programme=query.get("programme") or "default",
        mapping=query.get("mapping") or None,
        version=whole(query.get("version", ""), "version", 2**31 - 1),
        priority=_or(whole(query.get("priority", ""), "priority", LOWEST), LOWEST),
    )


def named(text: str) -> str:
    """The name of a file without its folders, never empty."""
    clean = "".join(mark for mark in text if mark.isprintable())
    return clean.replace("\\", "/").rpartition("/")[2].strip()[:_NAME_MAX] or "file"


def whole(text: str, name: str, most: int) -> int | None:
    """A whole number from 0 to `most`, None where there is none. Raises Rejected(invalid)."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
        raise Rejected("invalid", f"`{name}` is a whole number from 0 to {most}", 422)
    return int(text)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _outcomes(request: web.Request) -> list[str]:
    asked = [text for text in request.query.get("outcome", "").split(",") if text]
    for text in asked:
        if text not in OUTCOMES:
            raise unknown("outcome", OUTCOMES)
    return asked


def _unsaved(read_as: ReadAs) -> ReadAs:
    return msgspec.structs.replace(read_as, save_as=None)


_FILE = ("application/octet-stream", "text/csv", "application/x-ndjson",
         "application/vnd.apache.parquet")  # fmt: skip
_NEW = ("upload_name", "upload_format", "mapping", "mapping_version", "upload_priority")
_EXAMPLE = {"mapping": "clinic export"}


def _routes(home: str, prefix: str) -> tuple[Route, ...]:
    one = f"{home}/{{upload}}"
    whose = " of a customer" if prefix else ""
    listed = ("upload_search", "upload_state", "uploads_sort", "after", "limit")
    return (
        Route(
            "POST", home, create_upload, f"create_{prefix}upload",
            gives=shapes.Upload, status=201, query=(*_NEW, *(() if prefix else ("programme",))),
            tag="uploads", summary=f"Upload a file{whose}; its dry run begins",
            reads=_FILE, problems=(404, 408, 413, 415, 422, 429), keeps_itself=True,
        ),
        Route(
            "GET", home, list_uploads, f"{prefix}uploads",
            gives=Items[shapes.Upload],
            query=listed if prefix else ("upload_customer", *listed),
            tag="uploads", summary=f"List uploads{whose}, newest first by default",
        ),
        Route(
            "GET", one, get_upload, f"{prefix}upload",
            gives=shapes.Upload, tag="uploads", summary=f"Read an upload{whose}",
        ),
        Route(
            "DELETE", one, delete_upload, f"delete_{prefix}upload",
            status=204, writes="", tag="uploads", problems=(409,),
            summary=f"Remove the file of an upload{whose}",
        ),
        Route(
            "GET", f"{one}/rows", list_rows, f"{prefix}upload_rows",
            gives=Items[shapes.UploadRow], query=("outcome", "after", "limit"), tag="uploads",
            summary=f"Read the dry run's verdict on every row{whose}", problems=(409, 422),
        ),
        Route(
            "POST", f"{one}/preview", preview_upload, f"{prefix}upload_preview",
            takes=ReadAs, gives=shapes.Preview, tag="uploads", example=_EXAMPLE,
            summary=f"See the first rows read by a mapping{whose}",
        ),
        Route(
            "POST", f"{one}/check", check_upload, f"{prefix}upload_check",
            state_of=one,
            takes=ReadAs, gives=shapes.Upload, status=202, tag="uploads", problems=(409,),
            summary=f"Run dry again, by another mapping{whose}", example=_EXAMPLE,
        ),
        Route(
            "POST", f"{one}/ingest", ingest_upload, f"{prefix}upload_ingest",
            state_of=one,
            gives=shapes.Upload, status=202, tag="uploads", problems=(409,),
            summary=f"Bring the rows in{whose}",
        ),
        Route(
            "POST", f"{one}/undo", undo_upload, f"{prefix}upload_undo",
            state_of=one,
            gives=shapes.Upload, status=202, tag="uploads", problems=(409,),
            summary=f"Take back what an upload brought{whose}",
        ),
        Route(
            "POST", f"{one}/cancel", cancel_upload, f"{prefix}upload_cancel",
            state_of=one,
            gives=shapes.Upload, status=202, tag="uploads", problems=(409,),
            summary=f"Stop what is going on{whose}",
        ),
    )  # fmt: skip


ROUTES = (
    *_routes("/v1/uploads", ""),
    *_routes("/v1/customers/{customer}/uploads", "customer_"),
)
