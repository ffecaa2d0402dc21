"""People who work here: who they are, what they may and where; for administrators alone."""

import msgspec
from aiohttp import web

from fitstream.client.access import Staff
from fitstream.client.data import Programme
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.admin.chosen import (
    REFUSED,
    chosen_programmes,
    converted,
    programmes_of,
    text_of,
)
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api import second_factors as factor_views
from fitstream.gateway.api import staff as views
from fitstream.gateway.api.answers import cursor
from fitstream.gateway.api.staff import CreateStaff, PatchStaff
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.view.templates import html, see
from fitstream.repo.sorts import STAFF

ROLES = {
    "admin": "Administrator: everything",
    "support": "Support: looks, helps with devices",
    "analyst": "Analyst: data and models, no names",
}
_PATH = "/admin/people"
_SAID = {
    "changed": "The rights are changed. Sessions under the old ones have ended.",
    "disabled": "The account is disabled, and its sessions have ended.",
    "enabled": "The account may log in again.",
    "factor": "They log in with their password alone, and can set up a second factor anew.",
}
_TEXTS = {"email": "the e-mail address is not valid", "role": "choose a role"}


class PeoplePage(msgspec.Struct, frozen=True, kw_only=True):
    """The staff, the form, and a password that is shown once."""

    people: list[Staff]
    own_id: str
    roles: dict[str, str]
    programmes: list[Programme]
    may_all: bool
    search: str
    sorting: Sorting
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
        chosen = {**wanted, "programmes": chosen_programmes(posted)}
        body = converted(chosen, CreateStaff, _TEXTS)
        made = await views.make_staff(request, body)
    except REFUSED as error:
        return await _page(request, viewer, 422, error=text_of(error), email=email)
    return await _page(request, viewer, made=made.email, password=made.password or "")


async def change_person(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Another role, or other programmes."""
    posted = await request.post()
    try:
        wanted = {"role": str(posted.get("role", "")), "programmes": chosen_programmes(posted)}
        await views.change_staff(request, converted(wanted, PatchStaff, _TEXTS))
    except (Rejected, Conflict) as error:
        return await _page(request, viewer, 422, error=text_of(error))
    return see("/admin/people?done=changed")


async def set_standing(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Disables an account, or lets it in again."""
    is_disabled = (await request.post()).get("disabled") == "1"
    try:
        await views.change_staff(request, PatchStaff(disabled=is_disabled))
    except Conflict as error:
        return await _page(request, viewer, 422, error=text_of(error))
    return see(f"/admin/people?done={'disabled' if is_disabled else 'enabled'}")


async def remove_factor(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Takes away the second factor of somebody who lost phone and recovery codes."""
    await factor_views.take_away(request)
    return see("/admin/people?done=factor")


async def _page(
    request: web.Request, viewer: Viewer, status: int = 200, **more: str
) -> web.StreamResponse:
    found, following = await views.staff_page(request)
    search = request.query.get("search", "")
    sorting = sorting_of(request, STAFF, _PATH, {"search": search})
    asked = {"search": search, "sort": sorting.asked}
    page = PeoplePage(
        people=found,
        own_id=viewer.account_id,
        roles=ROLES,
        programmes=await programmes_of(request),
        may_all=request[PRINCIPAL].programmes is None,
        search=search,
        sorting=sorting,
        first=href(_PATH, **asked) if request.query.get("after") else None,
        following=href(_PATH, **asked, after=cursor(following)) if following else None,
        **more,
    )
    return html(request, "admin/people.html", viewer.shell("people"), page, status)
