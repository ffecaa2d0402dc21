"""Many customers at once: a list looked at, then taken in; the list of all; who may register."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from fitstream.client.people import ListVerdict, RowVerdict
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import invites
from fitstream.gateway.customer_list import BYTES_MAX, COLUMNS, ROWS_MAX
from fitstream.gateway.keys import REPO
from fitstream.gateway.scoping import within
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.repo import customers, people
from fitstream.repo.people import Registration

_SHOWN_ROWS = 200


class ImportPage(msgspec.Struct, frozen=True, kw_only=True):
    """The form, the verdict on a list, and the list itself to send on."""

    programmes: list[Registration]
    columns: tuple[str, ...] = COLUMNS
    rows_max: int = ROWS_MAX
    programme: str = "default"
    zone: str = "Europe/Berlin"
    verdict: ListVerdict | None = None
    rows: list[RowVerdict] = []
    table: str = ""
    error: str = ""
    said: str = ""


async def show_import(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The form."""
    said = "Who may register is changed." if request.query.get("done") else ""
    return await _render(request, viewer, {"said": said})


async def take_list(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The verdict on a list, or what became of it."""
    posted = await request.post()
    programme, zone = str(posted.get("programme", "")), str(posted.get("zone", "")).strip()
    is_look, is_inviting = posted.get("do") != "create", "invite" in posted
    given = {"programme": programme or "default", "zone": zone or "UTC"}
    try:
        raw = _list_of(posted)
        verdict = await invites.take_list(
            request, raw, (given["programme"], given["zone"]), (is_look, is_inviting)
        )
    except (Rejected, NotFound) as error:
        said = sentence_of(error) if isinstance(error, Rejected) else capital(str(error))
        return await _render(request, viewer, {**given, "error": said}, 422)
    rows = [row for row in verdict.rows if row.verdict != "new"][:_SHOWN_ROWS]
    table = raw.decode("utf-8-sig") if is_look else ""
    return await _render(
        request, viewer, {**given, "verdict": verdict, "rows": rows, "table": table}
    )


async def export(request: web.Request, _: Viewer) -> web.StreamResponse:
    """All customers as CSV."""
    return await invites.export_customers(request)


async def set_registration(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Opens a programme for people who register themselves, or closes it."""
    posted = await request.post()
    is_open = posted.get("open") == "1"
    await invites.set_registration(request, str(posted.get("programme", "")), is_open)
    return see("/admin/customers/import?done=registration#registration")


def _list_of(posted: Mapping[str, object]) -> bytes:
    """The list as a file, or as the text that was looked at. Raises Rejected(invalid)."""
    file, text = posted.get("list"), posted.get("table")
    if isinstance(file, web.FileField):
        raw = file.file.read(BYTES_MAX + 1)
    else:
        raw = str(text or "").encode()
    if not raw:
        raise Rejected("invalid", "choose a file first", 422)
    if len(raw) > BYTES_MAX:
        raise Rejected("body_too_large", "the list is larger than 1 MiB; split it", 413)
    return raw


async def _render(
    request: web.Request, viewer: Viewer, shown: dict[str, object], status: int = 200
) -> web.StreamResponse:
    async with request.app[REPO].connection() as db:
        mine = await customers.list_programmes(db, within(request))
        programmes = [await people.registration_of(db, programme.id) for programme in mine]
    page = ImportPage(programmes=programmes, **shown)  # type: ignore[arg-type]  # its own fields
    return html(request, "admin/import.html", viewer.shell("customers"), page, status)
