"""Password, address and sessions of the customer."""

from contextlib import suppress

import msgspec
from aiohttp import web

from fitstream.client.access import SessionShown
from fitstream.errors import Conflict, FitstreamError, NotFound, Rejected, TooMany
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.pages.keys import COOKIES
from fitstream.gateway.view.agents import in_words
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of

_SAID = {
    "password": "Your password is changed. Every other session has ended.",
    "email": "A mail is on its way to the new address. It logs in once you have opened the link.",
    "session": "The session has ended.",
}
_REFUSED = (Rejected, Conflict, TooMany)


class Listed(msgspec.Struct, frozen=True):
    """A session, and its browser in words."""

    session: SessionShown
    name: str


class SecurityPage(msgspec.Struct, frozen=True, kw_only=True):
    """The forms, the sessions, and what the last form did."""

    email: str
    zone: str
    sessions: list[Listed]
    said: str = ""
    password_error: str = ""
    email_error: str = ""
    wanted_email: str = ""


async def show_security(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The page."""
    return await _page(request, viewer, said=_SAID.get(request.query.get("done", ""), ""))


async def change_password(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Another password; this session goes on, others end."""
    posted = await request.post()
    try:
        old, new = str(posted.get("old", "")), str(posted.get("new", ""))
        await viewer.client.change_password(old[:1024], new[:1024])
    except _REFUSED as error:
        return await _page(request, viewer, 422, password_error=_said(error))
    return see("/security?done=password")


async def change_email(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """A mail to the new address."""
    posted = await request.post()
    email = str(posted.get("email", "")).strip()[:254]
    try:
        await viewer.client.change_email(email, str(posted.get("password", ""))[:1024])
    except _REFUSED as error:
        more = {"email_error": _said(error), "wanted_email": email}
        return await _page(request, viewer, 422, **more)
    return see("/security?done=email")


async def end_session(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Ends one of the sessions; one that has ended by itself is no error."""
    with suppress(NotFound):
        await viewer.client.end_session(request.match_info["session"])
    return see("/security?done=session")


async def log_out_everywhere(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Ends every session, this one too."""
    await viewer.client.log_out_everywhere()
    response = see("/login?done=everywhere")
    request.app[COOKIES].end(response)
    return response


async def _page(
    request: web.Request, viewer: Viewer, status: int = 200, **more: str
) -> web.StreamResponse:
    sessions = await viewer.client.sessions()
    page = SecurityPage(
        email=viewer.email,
        zone=viewer.customer.zone,
        sessions=[Listed(session, in_words(session.agent)) for session in sessions],
        **more,
    )
    return html(request, "pages/security.html", viewer.shell("profile"), page, status)


def _said(error: FitstreamError) -> str:
    if isinstance(error, Rejected) and "$.email" in error.message:
        return "The e-mail address is not valid."
    return sentence_of(error) if isinstance(error, Rejected) else capital(str(error))
