"""The own account of staff: password, second factor, sessions."""

from contextlib import suppress

import msgspec
from aiohttp import web

from fitstream.client.access import SessionShown
from fitstream.client.people import Factor
from fitstream.errors import FitstreamError, NotFound, Rejected, TooMany
from fitstream.gateway import second_factor
from fitstream.gateway.admin.door import COOKIES, Viewer
from fitstream.gateway.api import own_account, second_factors
from fitstream.gateway.api import sessions as session_views
from fitstream.gateway.api.answers import now
from fitstream.gateway.keys import MASTERS, REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.view.agents import in_words
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.ids import hashed
from fitstream.repo import sessions
from fitstream.repo.sessions import OwnSession

_SAID = {
    "password": "Your password is changed. Every other session has ended.",
    "removed": "Your second factor is removed.",
    "session": "The session has ended.",
}
_REFUSED = (Rejected, TooMany)


class Listed(msgspec.Struct, frozen=True):
    """A session, and its browser in words."""

    session: SessionShown
    name: str


class OwnPage(msgspec.Struct, frozen=True, kw_only=True):
    """Forms and sessions, and what the last form did; codes are shown only here."""

    email: str
    factor: Factor
    sessions: list[Listed]
    codes: list[str] = []
    said: str = ""
    error: str = ""
    password_error: str = ""


class SetUpPage(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that waits for its first code."""

    secret: str
    error: str = ""


async def show_own(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The page."""
    return await _page(request, viewer, said=_SAID.get(request.query.get("done", ""), ""))


async def change_password(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Another password; this session goes on, others end."""
    posted = await request.post()
    old, new = str(posted.get("old", ""))[:1024], str(posted.get("new", ""))[:1024]
    try:
        await own_account.replace_password(request, old, new, hashed(viewer.token))
    except _REFUSED as error:
        return await _page(request, viewer, 422, password_error=_said(error))
    return see("/admin/own?done=password")


async def begin_factor(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """A new secret for the right password, then the page that asks for its first code."""
    password = str((await request.post()).get("password", ""))[:1024]
    try:
        person = await own_account.confirmed_person(request, password)
        async with request.app[REPO].transaction() as db:
            await second_factor.begin(db, request.app[MASTERS], person.account_no, person.email)
    except _REFUSED as error:
        return await _page(request, viewer, 422, error=_said(error))
    return see("/admin/own/second-factor")


async def show_factor(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The QR code, the secret and the form for the first code; back when none waits."""
    return await _set_up(request, viewer)


async def show_qr(request: web.Request, _: Viewer) -> web.StreamResponse:
    """The QR code of a secret that waits, as a picture."""
    principal = request[PRINCIPAL]
    async with request.app[REPO].connection() as db:
        waiting = await second_factor.waiting(
            db, request.app[MASTERS], principal.account_no or 0, principal.email or ""
        )
    if waiting is None:
        raise NotFound("a second factor that waits for its first code")
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(text=waiting.qr_svg, content_type="image/svg+xml", headers=headers)


async def confirm_factor(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """In force; the recovery codes, shown only here."""
    code = str((await request.post()).get("code", ""))[:64]
    try:
        person = await own_account.own_person(request)
        made = await second_factors.confirm_factor(request, person, code, hashed(viewer.token))
    except _REFUSED as error:
        return await _set_up(request, viewer, _said(error), 422)
    return await _page(request, viewer, codes=made.codes)


async def renew_codes(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """New recovery codes, shown only here."""
    password = str((await request.post()).get("password", ""))[:1024]
    try:
        person = await own_account.confirmed_person(request, password)
        codes = await second_factors.renew(request, person)
    except _REFUSED as error:
        return await _page(request, viewer, 422, error=_said(error))
    return await _page(request, viewer, codes=codes)


async def remove_factor(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Removed, for the password and a code."""
    posted = await request.post()
    try:
        person = await own_account.confirmed_person(request, str(posted.get("password", ""))[:1024])
        await second_factors.remove_factor(request, person, str(posted.get("code", ""))[:64])
    except _REFUSED as error:
        return await _page(request, viewer, 422, error=_said(error))
    return see("/admin/own?done=removed")


async def end_session(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Ends one of the own sessions; one that has ended by itself is no error."""
    with suppress(NotFound):
        await session_views.end_session(request)
    return see("/admin/own?done=session")


async def log_out_everywhere(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Ends every session, this one too."""
    await own_account.log_out_everywhere(request)
    response = see("/admin/login")
    request.app[COOKIES].end(response)
    return response


async def _page(
    request: web.Request,
    viewer: Viewer,
    status: int = 200,
    codes: list[str] | None = None,
    **more: str,
) -> web.StreamResponse:
    number, settings = request[PRINCIPAL].account_no or 0, request.app[SETTINGS]
    living = sessions.Living(now(request), settings.admin_idle_s, settings.customer_idle_s)
    async with request.app[REPO].connection() as db:
        factor = await second_factors.standing(request, db, number)
        found = await sessions.list_sessions(db, number, living)
    page = OwnPage(
        email=viewer.email,
        factor=factor,
        sessions=[_listed(session, viewer) for session in found],
        codes=codes or [],
        **more,
    )
    return html(request, "admin/own.html", viewer.shell("own"), page, status)


async def _set_up(
    request: web.Request, viewer: Viewer, error: str = "", status: int = 200
) -> web.StreamResponse:
    number = request[PRINCIPAL].account_no or 0
    async with request.app[REPO].connection() as db:
        waiting = await second_factor.waiting(db, request.app[MASTERS], number, viewer.email)
    if waiting is None:
        return see("/admin/own")
    page = SetUpPage(secret=waiting.secret, error=error)
    return html(request, "admin/second_factor.html", viewer.shell("own"), page, status)


def _listed(session: OwnSession, viewer: Viewer) -> Listed:
    shown = SessionShown(
        id=session.id,
        agent=session.agent,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
        expires_at=session.expires_at,
        is_current=session.token_sha == hashed(viewer.token),
    )
    return Listed(shown, in_words(session.agent))


def _said(error: FitstreamError) -> str:
    return sentence_of(error) if isinstance(error, Rejected) else capital(str(error))
