"""Sessions of the asking account: list them, end one, end all others."""

from datetime import datetime

from aiohttp import web

from fitstream.client.access import Ended, SessionShown
from fitstream.client.data import Items
from fitstream.errors import NotFound
from fitstream.gateway.api.answers import after, answer, limit, now, page
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.ids import hashed
from fitstream.repo import sessions
from fitstream.repo.audit import Subject, record


async def list_sessions(request: web.Request) -> web.Response:
    """Live ones, the one used last first."""
    number, count = request[PRINCIPAL].account_no or 0, limit(request)
    position = after(request, tuple[datetime, str])
    async with request.app[REPO].connection() as db:
        rows = await sessions.list_sessions(db, number, _living(request), position, count)
    following = (rows[-1].last_seen_at, rows[-1].id) if len(rows) == count else None
    return page([_shown(request, row) for row in rows], following)


async def get_session(request: web.Request) -> web.Response:
    """One of them; raises NotFound for one that is somebody else's, or over."""
    number, wanted = request[PRINCIPAL].account_no or 0, request.match_info["session"]
    async with request.app[REPO].connection() as db:
        row = await sessions.get_session(db, number, _living(request), wanted)
    return answer(_shown(request, row))


async def end_session(request: web.Request) -> web.Response:
    """Ends one; raises NotFound for one that is somebody else's, or over."""
    principal, wanted = request[PRINCIPAL], request.match_info["session"]
    async with request.app[REPO].transaction() as db:
        if not await sessions.end_session(db, principal.account_no or 0, wanted):
            raise NotFound(f"session {wanted}")
        subject = Subject("session", wanted, principal.customer_no)
        await record(db, principal.actor, "session.ended", subject)
    return web.Response(status=204)


async def end_others(request: web.Request) -> web.Response:
    """Ends all but the one that asks."""
    principal = request[PRINCIPAL]
    async with request.app[REPO].transaction() as db:
        ended = await sessions.end_sessions(db, principal.account_no or 0, _own(request))
        subject = Subject("account", str(principal.account_no), principal.customer_no)
        await record(db, principal.actor, "session.others_ended", subject)
    return answer(Ended(ended))


def _living(request: web.Request) -> sessions.Living:
    settings = request.app[SETTINGS]
    return sessions.Living(now(request), settings.admin_idle_s, settings.customer_idle_s)


def _shown(request: web.Request, row: sessions.OwnSession) -> SessionShown:
    return SessionShown(
        id=row.id,
        agent=row.agent,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        is_current=row.token_sha == _own(request),
    )


def _own(request: web.Request) -> bytes:
    return hashed(credential(request.headers.get("Authorization", "")) or "")


ROUTES = (
    Route(
        "GET", "/v1/me/sessions", list_sessions, "sessions", gives=Items[SessionShown],
        query=("after", "limit"), tag="people", summary="Your sessions",
    ),
    Route(
        "GET", "/v1/me/sessions/{session}", get_session, "session", gives=SessionShown,
        problems=(404,), tag="people", summary="Read one of your sessions",
    ),
    Route(
        "DELETE", "/v1/me/sessions", end_others, "end_other_sessions", gives=Ended,
        tag="people", summary="End all your sessions but this one",
    ),
    Route(
        "DELETE", "/v1/me/sessions/{session}", end_session, "end_session", status=204, writes="",
        problems=(404,), tag="people", summary="End one of your sessions",
    ),
)  # fmt: skip
