"""People who work here: who they are, what they may and where; for administrators alone."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web
from multidict import MultiMapping

from fitstream.client.access import Staff
from fitstream.client.data import Programme
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import staff as views
from fitstream.gateway.api.answers import after, cursor
from fitstream.gateway.api.staff import CreateStaff, PatchStaff
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.scoping import within
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.repo import customers

T = TypeVar("T")
ROLES = {
    "admin": "Administrator: everything",
    "support": "Support: looks, helps with devices",
    "analyst": "Analyst: data and models, no names",
}
_SAID = {
    "changed": "The rights are changed. Sessions under the old ones have ended.",
    "disabled": "The account is disabled, and its sessions have ended.",
    "enabled": "The account may log in again.",
}
_ALL = "all"
_SHOWN = 50
_REFUSED = (Rejected, Conflict, NotFound)


class PeoplePage(msgspec.Struct, frozen=True, kw_only=True):
    """The staff, the form, and a password that is shown once."""

    people: list[Staff]
    own_id: str
    roles: dict[str, str]
    programmes: list[Programme]
    may_all: bool
    first: str | None
    following: str | None
    said: str = ""
    error: str = ""
    email: str = ""
    made: str = ""
    password: str = ""


async def show_people(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list and the form."""
    return await _page(request, viewer, said=_SAID.get(request.query.get("done", ""), ""))


async def add_person(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list with the new account's password: no redirect, because it is shown only here."""
    posted = await request.post()
    email = str(posted.get("email", "")).strip()
    try:
        wanted = {"email": email, "role": str(posted.get("role", ""))}
        body = _converted({**wanted, "programmes": _programmes(posted)}, CreateStaff)
        made = await views.make_staff(request, body)
    except _REFUSED as error:
        return await _page(request, viewer, 422, error=_text(error), email=email)
    return await _page(request, viewer, made=made.email, password=made.password or "")


async def change_person(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Another role, or other programmes."""
    posted = await request.post()
    try:
        wanted = {"role": str(posted.get("role", "")), "programmes": _programmes(posted)}
        await views.change_staff(request, _converted(wanted, PatchStaff))
    except (Rejected, Conflict) as error:
        return await _page(request, viewer, 422, error=_text(error))
    return see("/admin/people?done=changed")


async def set_standing(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Disables an account, or lets it in again."""
    is_disabled = (await request.post()).get("disabled") == "1"
    try:
        await views.change_staff(request, PatchStaff(disabled=is_disabled))
    except Conflict as error:
        return await _page(request, viewer, 422, error=_text(error))
    return see(f"/admin/people?done={'disabled' if is_disabled else 'enabled'}")


async def _page(
    request: web.Request, viewer: Viewer, status: int = 200, **more: str
) -> web.StreamResponse:
    position = after(request, int) or 0
    found, following = await views.staff_after(request, position, _SHOWN)
    async with request.app[REPO].connection() as db:
        known = await customers.list_programmes(db, within(request))
    page = PeoplePage(
        people=found,
        own_id=viewer.account_id,
        roles=ROLES,
        programmes=[Programme(each.id, each.name) for each in known],
        may_all=request[PRINCIPAL].programmes is None,
        first="/admin/people" if position else None,
        following=f"/admin/people?after={cursor(following)}" if following else None,
        **more,
    )
    return html(request, "admin/people.html", viewer.shell("people"), page, status)


def _programmes(posted: MultiMapping[object]) -> list[str] | None:
    """The ticked ones, None for all. Raises Rejected: nobody gets all by ticking nothing."""
    chosen = [str(each) for each in posted.getall("programme", [])]
    if _ALL in chosen:
        return None
    if not chosen:
        raise Rejected("invalid", "choose programmes, or all of them", 422)
    return chosen


def _converted(wanted: Mapping[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(wanted, kind)
    except msgspec.ValidationError as error:
        is_email = "email" in str(error)
        text = "the e-mail address is not valid" if is_email else "choose a role"
        raise Rejected("invalid", text, 422) from error


def _text(error: Exception) -> str:
    if isinstance(error, Rejected):
        return sentence_of(error)
    return capital(error.message if isinstance(error, Conflict) else str(error)) + "."
