"""OAuth clients: programs of others that people let act for them, or that act for a programme."""

import msgspec
from aiohttp import web

from fitstream.client.access import OAuthClient
from fitstream.client.data import Programme
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
from fitstream.gateway.api.programs import CreateClient
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.view.templates import html, see
from fitstream.repo.sorts import CLIENTS

GRANTS = {
    "authorization_code": "People let it, in a browser",
    "refresh_token": "It stays let in without asking again",
    "urn:ietf:params:oauth:grant-type:device_code": "People let it, by a code it shows",
    "client_credentials": "It asks for itself",
}
_PATH = "/admin/clients"
_SAID = {
    "disabled": "The client is disabled, and all that was granted to it has ended.",
    "enabled": "The client may ask again. What was granted before stays ended.",
}
_TEXTS = {
    "name": "give the client a name of at most 256 letters",
    "grants": "choose how it is let in",
    "scopes": "choose what it may ask for",
    "redirect_uris": "an address to go back to has at most 1024 letters; 20 of them at most",
}


class ClientsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The clients, the form, and a secret that is shown once."""

    clients: list[OAuthClient]
    grants: dict[str, str]
    scopes: dict[str, str]
    chosen: list[str]
    programmes: list[Programme]
    may_all: bool
    search: str
    sorting: Sorting
    first: str | None
    following: str | None
    said: str = ""
    error: str = ""
    name: str = ""
    uris: str = ""
    made: str = ""
    made_id: str = ""
    secret: str = ""


async def show_clients(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list and the form."""
    return await _page(request, viewer, said=_SAID.get(request.query.get("done", ""), ""))


async def add_client(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list with the new client: no redirect, because its secret is shown only here."""
    posted = await request.post()
    name, uris = (str(posted.get(field, "")).strip() for field in ("name", "uris"))
    grants = [str(each) for each in posted.getall("grant", [])]
    scopes = [str(each) for each in posted.getall("scope", [])]
    try:
        wanted = {
            "name": name,
            "is_confidential": posted.get("confidential") == "1",
            "grants": grants,
            "scopes": chosen_scopes(posted),
            "redirect_uris": uris.split(),
            "programmes": chosen_programmes(posted),
        }
        made = await views.make_client(request, converted(wanted, CreateClient, _TEXTS))
    except REFUSED as error:
        chosen = [*scopes, *grants]
        return await _page(request, viewer, chosen, error=text_of(error), name=name, uris=uris)
    secret = made.client_secret or ""
    return await _page(request, viewer, made=made.name, made_id=made.id, secret=secret)


async def set_standing(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Disables a client, or lets it ask again."""
    is_disabled = (await request.post()).get("disabled") == "1"
    await views.set_disabled(request, is_disabled)
    return see(f"/admin/clients?done={'disabled' if is_disabled else 'enabled'}")


async def renew_secret(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list with another secret of a client; the one before has ended."""
    try:
        made = await views.make_secret(request)
    except REFUSED as error:
        return await _page(request, viewer, error=text_of(error))
    secret = made.client_secret or ""
    return await _page(request, viewer, made=made.name, made_id=made.id, secret=secret)


async def _page(
    request: web.Request, viewer: Viewer, chosen: list[str] | None = None, **more: str
) -> web.StreamResponse:
    found, following = await views.clients_page(request)
    search = request.query.get("search", "")
    sorting = sorting_of(request, CLIENTS, _PATH, {"search": search})
    asked = {"search": search, "sort": sorting.asked}
    page = ClientsPage(
        clients=found,
        grants=GRANTS,
        scopes=SCOPE_WORDS,
        chosen=chosen or [],
        programmes=await programmes_of(request),
        may_all=request[PRINCIPAL].programmes is None,
        search=search,
        sorting=sorting,
        first=href(_PATH, **asked) if request.query.get("after") else None,
        following=href(_PATH, **asked, after=cursor(following)) if following else None,
        **more,
    )
    status = 422 if page.error else 200
    return html(request, "admin/clients.html", viewer.shell("people"), page, status)
