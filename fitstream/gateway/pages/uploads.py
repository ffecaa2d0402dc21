"""Files of the customer: sent, checked row by row, brought in, and taken back.

The same steps as administrators have for files of many; whatever is done, the API does.
"""

from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from fitstream.client.data import Items
from fitstream.client.uploads import MappingSource, Upload, UploadRow
from fitstream.errors import Conflict, NotFound, Rejected, TooMany
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.pages.keys import COOKIES, SETTINGS
from fitstream.gateway.receiving import received
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.upload_form import read_form
from fitstream.gateway.view.uploaded import (
    OutcomeCount,
    RowView,
    Step,
    UploadView,
    outcomes_of,
    row_views,
    steps_of,
    upload_view,
)
from fitstream.gateway.view.words import capital, sentence_of

HOME = "/uploads"
THERE = "your data"
STATES = ("checking", "unmapped", "checked", "ingesting", "ingested", "undone", "failed")
PRIORITIES = {"1000": "what my devices measured", "0": "what the file says"}
_LIST = "20"
_ROWS = "50"
_PIECE_BYTES = 262_144
_SAID = {
    "removed": "The file is removed.",
    "moved": "It has moved on meanwhile. This is how it stands now.",
}


class FilesPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list, and the form that takes a file."""

    uploads: list[UploadView]
    state: str
    search: str
    states: tuple[str, ...]
    sources: list[MappingSource]
    priorities: dict[str, str]
    is_moving: bool
    here: str
    first: str | None
    following: str | None
    said: str = ""
    error: str = ""


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    view: UploadView
    steps: list[Step]
    outcomes: list[OutcomeCount]
    codes: list[tuple[str, int]]
    outcome: str
    rows: list[RowView]
    zone: str
    first: str | None
    following: str | None
    said: str = ""


async def show_uploads(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list, newest first, and the form."""
    return await _list(request, viewer)


async def receive(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Takes a file and has it checked; then to its page, or the form again with what is wrong."""
    try:
        upload = await _receive(request, viewer)
    except (Rejected, NotFound, TooMany) as error:
        if isinstance(error, Rejected) and error.status in (401, 403):
            raise
        return await _list(request, viewer, _said_of(error))
    return see(f"{HOME}/{upload.id}")


async def show_upload(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """How far it is, and what the check says of its rows."""
    files = viewer.client.uploads(viewer.customer.id)
    upload = await files.get(request.match_info["upload"])
    outcome = request.query.get("outcome", "")
    counts = upload.report.outcomes if upload.report else {}
    outcome = outcome if outcome in counts else ""
    place = request.query.get("after", "")
    found: Items[UploadRow] = Items([])
    if upload.report is not None and upload.phase != "deleted":
        found = await files.rows(upload.id, outcome=outcome, after=place, limit=_ROWS)
    home = f"{HOME}/{upload.id}"
    page = FilePage(
        view=upload_view(upload, THERE),
        steps=steps_of(upload, THERE),
        outcomes=outcomes_of(upload, home),
        codes=sorted(upload.report.codes.items()) if upload.report else [],
        outcome=outcome,
        rows=row_views(found.items),
        zone=viewer.customer.zone,
        first=f"{_href(home, outcome=outcome)}#rows" if place else None,
        following=f"{_href(home, outcome=outcome, after=found.next)}#rows" if found.next else None,
        said=_SAID.get(request.query.get("done", ""), ""),
    )
    return html(request, "pages/upload.html", viewer.shell("devices"), page)


async def act(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """One of: ingest, undo, cancel, again, remove. One that came too late changes nothing."""
    upload_id, way = request.match_info["upload"], request.match_info["way"]
    files = viewer.client.uploads(viewer.customer.id)
    try:
        if way == "remove":
            await files.delete(upload_id)
            return see(f"{HOME}?done=removed")
        if way == "again":
            await _again(viewer, upload_id)
        elif way in ("ingest", "undo", "cancel"):
            await getattr(files, way)(upload_id)
        else:
            raise NotFound("this page")
    except Conflict:
        return see(f"{HOME}/{upload_id}?done=moved")
    return see(f"{HOME}/{upload_id}")


async def _again(viewer: Viewer, upload_id: str) -> None:
    """Goes on with what stopped: the phase says what that was."""
    files = viewer.client.uploads(viewer.customer.id)
    upload = await files.get(upload_id)
    if upload.phase == "ingesting":
        await files.ingest(upload_id)
    elif upload.phase == "undoing":
        await files.undo(upload_id)
    else:
        await files.check(upload_id, **_read_as(upload))


def _read_as(upload: Upload) -> dict[str, Any]:
    """How the file was read the last time."""
    if upload.mapping is not None:
        return {"mapping": upload.mapping.name, "version": upload.mapping.version}
    return {} if upload.spec is None else {"spec": upload.spec}


async def _receive(request: web.Request, viewer: Viewer) -> Upload:
    settings = request.app[SETTINGS]
    fields, part = await read_form(request, request.app[COOKIES], settings.body_timeout_s)
    priority = fields.get("priority", "")
    mapping = fields.get("mapping", "")[:64]

    async def pieces() -> bytes:
        return await part.read_chunk(_PIECE_BYTES)

    async with received(request, viewer.customer.id, pieces, settings) as file:
        return await viewer.client.uploads(viewer.customer.id).send(
            file.path,
            name=(part.filename or "file")[:200],
            mapping=mapping,
            priority=priority if priority in PRIORITIES else "",
        )


async def _list(request: web.Request, viewer: Viewer, error: str = "") -> web.StreamResponse:
    """The page; a form that was refused comes back above it."""
    state = request.query.get("state", "")
    state = state if state in STATES else ""
    place = request.query.get("after", "")
    files = viewer.client.uploads(viewer.customer.id)
    search = request.query.get("search", "").strip()[:200]
    found = await files.list(search=search, state=state, after=place, limit=_LIST)
    asked = {"search": search, "state": state}
    page = FilesPage(
        uploads=[upload_view(upload, THERE) for upload in found.items],
        state=state,
        states=STATES,
        sources=(await viewer.client.mapping_sources(viewer.customer.id)).items,
        priorities=PRIORITIES,
        is_moving=any(upload.is_moving for upload in found.items),
        search=search,
        here=_href(HOME, **asked, after=place),
        first=_href(HOME, **asked) if place else None,
        following=_href(HOME, **asked, after=found.next) if found.next else None,
        said=_SAID.get(request.query.get("done", ""), ""),
        error=error,
    )
    status = 422 if error else 200
    return html(request, "pages/uploads.html", viewer.shell("devices"), page, status)


def _said_of(error: Rejected | NotFound | TooMany) -> str:
    return sentence_of(error) if isinstance(error, Rejected) else capital(str(error))


def _href(base: str, **query: str | None) -> str:
    given = {name: text for name, text in query.items() if text}
    return f"{base}?{urlencode(given)}" if given else base
