"""Keys of programs: a key says what a program may do, and is shown once."""

from datetime import UTC, date, datetime, time

import msgspec
from aiohttp import web

from fitstream.client.access import ProgramKey
from fitstream.client.data import Programme
from fitstream.errors import Rejected
from fitstream.gateway.admin.chosen import (
    REFUSED,
    SCOPE_WORDS,
    chosen_programmes,
    chosen_scopes,
    converted,
    programmes_of,
    text_of,
)
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api import programs as views
from fitstream.gateway.api.answers import cursor
from fitstream.gateway.api.programs import CreateKey
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.view.templates import html, see
from fitstream.repo.sorts import KEYS

_PATH = "/admin/keys"
_SAID = {"ended": "The key has ended. Programs that use it are refused within seconds."}
_TEXTS = {"name": "give the key a name of at most 256 letters", "scopes": "choose what it may do"}


class KeysPage(msgspec.Struct, frozen=True, kw_only=True):
    """The keys, the form, and a key that is shown once."""

    keys: list[ProgramKey]
    scopes: dict[str, str]
    chosen: list[str]
    programmes: list[Programme]
    may_all: bool
    earliest: date
    search: str
    sorting: Sorting
    first: str | None
    following: str | None
    said: str = ""
    error: str = ""
    name: str = ""
    made: str = ""
    key: str = ""


async def show_keys(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list and the form."""
    return await _page(request, viewer, said=_SAID.get(request.query.get("done", ""), ""))


async def add_key(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list with the new key: no redirect, because it is shown only here."""
    posted = await request.post()
    name = str(posted.get("name", "")).strip()
    scopes = [str(each) for each in posted.getall("scope", [])]
    try:
        wanted = {
            "name": name,
            "scopes": chosen_scopes(posted),
            "programmes": chosen_programmes(posted),
            "expires_at": _end_of(str(posted.get("until", "")), viewer.now),
        }
        made = await views.make_key(request, converted(wanted, CreateKey, _TEXTS))
    except REFUSED as error:
        return await _page(request, viewer, scopes, error=text_of(error), name=name)
    return await _page(request, viewer, made=made.name, key=made.key)


async def end_key(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Refuses the key from now on."""
    await views.revoke_key(request)
    return see("/admin/keys?done=ended")


def _end_of(day: str, now: datetime) -> datetime | None:
    """The end of a day in UTC, None for no day. Raises Rejected for one that is over."""
    if not day:
        return None
    try:
        end = datetime.combine(date.fromisoformat(day), time.max, UTC)
    except ValueError:
        raise Rejected("invalid", "write the last day like 2026-11-23", 422) from None
    if end <= now:
        raise Rejected("invalid", "the last day of the key lies ahead", 422)
    return end


async def _page(
    request: web.Request, viewer: Viewer, chosen: list[str] | None = None, **more: str
) -> web.StreamResponse:
    found, following = await views.keys_page(request)
    search = request.query.get("search", "")
    sorting = sorting_of(request, KEYS, _PATH, {"search": search})
    asked = {"search": search, "sort": sorting.asked}
    page = KeysPage(
        keys=found,
        scopes={name: text for name, text in SCOPE_WORDS.items() if name != "profile"},
        chosen=chosen or [],
        programmes=await programmes_of(request),
        may_all=request[PRINCIPAL].programmes is None,
        earliest=viewer.now.date(),
        search=search,
        sorting=sorting,
        first=href(_PATH, **asked) if request.query.get("after") else None,
        following=href(_PATH, **asked, after=cursor(following)) if following else None,
        **more,
    )
    status = 422 if page.error else 200
    return html(request, "admin/keys.html", viewer.shell("people"), page, status)
