"""Programs of others: what one asks for, what a device asks for, and what was granted.

The API says who may be asked what, and where a browser may be sent; this page only shows it.
"""

from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

import msgspec
from aiohttp import web

from fitstream.client.access import Consent, GrantShown
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.templates import CSP, html, see

_QUERY_MAX = 8192
_SAID = {
    "granted": "The device may go on. You can take it back here at any time.",
    "refused": "The device is turned away.",
    "withdrawn": "The program may do nothing any more.",
}


class ConsentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what; `query` comes back with the answer, for a device `user_code`."""

    name: str
    wishes: list[str]
    email: str
    action: str
    query: str = ""
    user_code: str = ""


class CodePage(msgspec.Struct, frozen=True, kw_only=True):
    """The form for what a device shows."""

    user_code: str = ""
    error: str = ""


class ProgramsPage(msgspec.Struct, frozen=True, kw_only=True):
    """What programs may do."""

    grants: list[GrantShown]
    zone: str
    said: str = ""


async def show_authorize(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Who asks for what; a request that is not valid goes back as the API says."""
    query = request.rel_url.raw_query_string  # as it came: decoded once, below and by the API
    if len(query) > _QUERY_MAX:
        raise Rejected("bad_authorization", "the program's request is too long", 422)
    pairs = dict(parse_qsl(query))
    asked = await viewer.client.consent(pairs)
    if asked.redirect_to is not None:
        return see(asked.redirect_to)
    page = _page(asked, viewer, "/oauth/authorize", query=query)
    response = html(request, "pages/consent.html", viewer.shell("programs"), page)
    response.headers["Content-Security-Policy"] = _leading_to(pairs.get("redirect_uri", ""))
    return response


async def authorize(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Yes or no, and back to the program."""
    posted = await request.post()
    query = str(posted.get("query", ""))[:_QUERY_MAX]
    said = await viewer.client.decide(query, posted.get("answer") == "yes")
    return see(said.redirect_to)


async def show_device(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The form for the code, or who asks behind it."""
    code = request.query.get("user_code", "").strip()[:16]
    shell = viewer.shell("programs")
    if not code:
        return html(request, "pages/device_code.html", shell, CodePage())
    try:
        asked = await viewer.client.device_consent(code)
    except NotFound:
        text = "No device waits with this code. Look again, or let it begin anew."
        page = CodePage(user_code=code, error=text)
        return html(request, "pages/device_code.html", shell, page, 404)
    shown = _page(asked, viewer, "/oauth/device", user_code=code)
    return html(request, "pages/consent.html", shell, shown)


async def answer_device(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Yes or no to a device."""
    posted = await request.post()
    is_yes = posted.get("answer") == "yes"
    await viewer.client.decide_device(str(posted.get("user_code", ""))[:16], is_yes)
    return see(f"/programs?done={'granted' if is_yes else 'refused'}")


async def show_programs(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """What was granted and not taken back."""
    page = ProgramsPage(
        grants=await viewer.client.grants(),
        zone=viewer.customer.zone,
        said=_SAID.get(request.query.get("done", ""), ""),
    )
    return html(request, "pages/programs.html", viewer.shell("profile"), page)


async def withdraw(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Takes a grant back; one that has ended by itself is no error."""
    with suppress(NotFound):
        await viewer.client.withdraw_grant(request.match_info["grant"])
    return see("/programs?done=withdrawn")


def _page(asked: Consent, viewer: Viewer, action: str, **more: str) -> ConsentPage:
    return ConsentPage(
        name=asked.client_name,
        wishes=list(asked.scopes.values()),
        email=viewer.email,
        action=action,
        **more,
    )


def _leading_to(redirect_uri: str) -> str:
    """The policy of a page whose form may end at the program that asked, and nowhere else.

    The API has found the address registered. Browsers hold a form's redirects to `form-action`.
    """
    parts = urlsplit(redirect_uri)
    is_web = parts.scheme in ("http", "https")
    origin = f"{parts.scheme}://{parts.netloc}" if is_web else f"{parts.scheme}:"
    return CSP.replace("form-action 'self'", f"form-action 'self' {origin}")
