"""Uploads: the list with the form, one upload with its dry run, and what can be done with it."""

from urllib.parse import urlencode

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Items
from fitstream.client.uploads import SchemaMapping, Upload, UploadRow
from fitstream.errors import Rejected
from fitstream.gateway import policy, uploading
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import COOKIES, Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api import customers as customer_views
from fitstream.gateway.api import mappings as mapping_views
from fitstream.gateway.api import uploads as upload_views
from fitstream.gateway.api.listing import next_of, slice_of
from fitstream.gateway.api.uploads import STATES, named, whole
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL, caller_of
from fitstream.gateway.receiving import received
from fitstream.gateway.scoping import within
from fitstream.gateway.uploading import LOWEST, ReadAs, Wanted
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
from fitstream.gateway.view.words import sentence_of
from fitstream.repo import customers, mappings
from fitstream.repo import uploads as rows
from fitstream.repo.sorts import UPLOADS

_LIST = 20
_KEPT_MAX = 200
_ROWS = "50"


class UploadsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list, and the form that takes a file."""

    uploads: list[UploadView]
    state: str
    search: str
    states: tuple[str, ...]
    mappings: list[SchemaMapping]
    programmes: list[str]
    programme: str
    customer: Customer | None
    is_moving: bool
    may_send: bool
    lowest: int
    sorting: Sorting
    here: str
    first: str | None
    following: str | None
    error: str = ""


class UploadPage(msgspec.Struct, frozen=True, kw_only=True):
    """One upload."""

    view: UploadView
    steps: list[Step]
    customer: Customer | None
    outcomes: list[OutcomeCount]
    codes: list[tuple[str, int]]
    outcome: str
    rows: list[RowView]
    may_act: bool
    first: str | None
    following: str | None


async def list_uploads(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Uploads of all customers, newest first."""
    page = await _list_page(request)
    return html(request, "admin/uploads.html", viewer.shell("uploads"), page)


async def receive(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Takes a file, of many customers or of the one of the path; then to its page."""
    try:
        upload = await _receive(request)
    except Rejected as error:
        if error.status == 403:
            raise
        page = await _list_page(request, sentence_of(error))
        return html(request, "admin/uploads.html", viewer.shell("uploads"), page, error.status)
    return see(_path(upload))


async def show_upload(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """How far it is, and what the dry run says of its rows."""
    upload = await reads.ask(request, upload_views.get_upload, Upload)
    outcome = request.query.get("outcome", "")
    counts = upload.report.outcomes if upload.report else {}
    outcome = outcome if outcome in counts else ""
    place = request.query.get("after", "")
    found: Items[UploadRow] = Items([])
    if upload.report is not None and upload.phase != "deleted":
        query = {"outcome": outcome, "after": place, "limit": _ROWS}
        found = await reads.ask(request, upload_views.list_rows, Items[UploadRow], **query)
    home = _path(upload.id)
    here = f"{home}?outcome={outcome}" if outcome else home
    page = UploadPage(
        view=upload_view(upload),
        steps=steps_of(upload),
        customer=await _customer(request, upload.customer_id),
        outcomes=outcomes_of(upload, home),
        codes=sorted(upload.report.codes.items()) if upload.report else [],
        outcome=outcome,
        rows=row_views(found.items),
        may_act=policy.may("admin:upload_act", request[PRINCIPAL]),
        first=f"{here}#rows" if place else None,
        following=_following(home, outcome, found.next),
    )
    return html(request, "admin/upload.html", viewer.shell("uploads"), page)


async def act(request: web.Request, _: Viewer) -> web.StreamResponse:
    """One of: ingest, undo, cancel, again, remove."""
    way = request.match_info["way"]
    if way == "remove":
        await uploading.remove(request)
        return see("/admin/uploads")
    if way == "again":
        await _again(request)
    elif way == "ingest":
        await uploading.ingest(request)
    elif way == "undo":
        await uploading.undo(request)
    elif way == "cancel":
        await uploading.cancel(request)
    else:
        raise Rejected("invalid", "nothing of that name can be done with an upload", 404)
    return see(_path(request.match_info["upload"]))


async def _again(request: web.Request) -> None:
    """Goes on with what stopped: the phase says what that was."""
    async with request.app[REPO].connection() as db:
        upload = await uploading.find(db, request)
    if upload.phase == "ingesting":
        await uploading.ingest(request)
    elif upload.phase == "undoing":
        await uploading.undo(request)
    else:
        spec = None if upload.spec is None else uploading.as_spec(upload.spec)
        is_kept = upload.mapping is not None
        kept = ReadAs(mapping=upload.mapping, version=upload.mapping_version)
        await uploading.check(request, kept if is_kept else ReadAs(spec=spec))


async def _receive(request: web.Request) -> str:
    settings = request.app[SETTINGS]
    fields, part = await read_form(request, request.app[COOKIES], settings.body_timeout_s)
    wanted = Wanted(
        name=named(part.filename or ""),
        customer=request.match_info.get("customer"),
        programme=fields.get("programme") or "default",
        mapping=fields.get("mapping") or None,
        priority=_priority(fields.get("priority", "")),
    )

    async def pieces() -> bytes:
        return await part.read_chunk(262_144)

    async with received(request, caller_of(request[PRINCIPAL]), pieces, settings) as file:
        return (await uploading.create(request, file, wanted)).id


def _priority(text: str) -> int:
    found = whole(text.strip(), "priority", LOWEST)
    return LOWEST if found is None else found


async def _list_page(request: web.Request, error: str = "") -> UploadsPage:
    state = request.query.get("state", "")
    state = state if state in STATES else ""
    place, programme = request.query.get("after", ""), request.query.get("programme", "")
    found, following = await _listed(request, state)
    search = _search(request)
    customer = request.match_info.get("customer")
    programmes = await _programmes(request)
    chosen = programme if programme in programmes else (programmes or ["default"])[0]
    kept = await _kept(request, chosen)
    base = f"/admin/customers/{customer}/uploads" if customer else "/admin/uploads"
    asked = {"state": state, "search": search}
    sorting = sorting_of(request, UPLOADS, base, asked)
    asked["sort"] = sorting.asked
    return UploadsPage(
        uploads=[upload_view(upload) for upload in found],
        state=state,
        states=STATES,
        mappings=kept,
        programmes=programmes,
        programme=chosen,
        customer=await _customer(request, customer),
        is_moving=any(upload.is_moving for upload in found),
        may_send=policy.may("admin:create_upload", request[PRINCIPAL]),
        lowest=LOWEST,
        search=search,
        sorting=sorting,
        here=href(base, **asked, after=place),
        first=href(base, **asked) if place else None,
        following=href(base, **asked, after=following) if following else None,
        error=error,
    )


async def _listed(request: web.Request, state: str) -> tuple[list[Upload], str | None]:
    """A page of uploads and the next cursor; a request that was read cannot be asked again."""
    owner, name = request.match_info.get("customer"), _search(request) or None
    only = rows.Only(owner, None, state or None, within(request), name)
    asked = slice_of(request, UPLOADS)._replace(limit=_LIST)
    async with request.app[REPO].connection() as db:
        found = await rows.list_uploads(db, only, asked)
        shown = [await uploading.shown(db, upload) for upload in found.items]
    return shown, next_of(asked, found.following)


async def _kept(request: web.Request, programme: str) -> list[SchemaMapping]:
    async with request.app[REPO].connection() as db:
        number = (await customers.get_programme(db, programme)).programme_no
        found = await mappings.list_mappings(db, number, "", _KEPT_MAX)
    return [mapping_views.shown(mapping) for mapping in found]


async def _programmes(request: web.Request) -> list[str]:
    principal = request[PRINCIPAL]
    async with request.app[REPO].connection() as db:
        found = await customers.list_programmes(db)
    return [each.id for each in found if principal.sees(each.programme_no)]


async def _customer(request: web.Request, customer_id: str | None) -> Customer | None:
    if customer_id is None:
        return None
    async with request.app[REPO].connection() as db:
        found = await customers.get_customer(db, customer_id)
    return msgspec.convert(customer_views.shown_to(request, found), Customer)


def _following(home: str, outcome: str, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    return f"{home}?{urlencode({'outcome': outcome, 'after': cursor})}#rows"


def _search(request: web.Request) -> str:
    return request.query.get("search", "").strip()[:200]


def _path(upload_id: str) -> str:
    return f"/admin/uploads/{upload_id}"
