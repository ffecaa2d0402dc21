"""Sessions of the asking account: list them, end one, end all others."""

from aiohttp import web

from fitstream.client.access import Ended, SessionShown
from fitstream.client.data import Items
from fitstream.errors import NotFound
from fitstream.gateway.api.answers import answer, now
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.ids import hashed
from fitstream.repo import sessions
from fitstream.repo.audit import Subject, record


async def list_sessions(request: web.Request) -> web.Response:
    """Live ones, the one used last first."""
    principal, settings = request[PRINCIPAL], request.app[SETTINGS]
    idle_s = (settings.admin_idle_s, settings.customer_idle_s)
    async with request.app[REPO].connection() as db:
        rows = await sessions.list_sessions(db, principal.account_no or 0, now(request), idle_s)
    own = _own(request)
    items = [
        SessionShown(
            id=row.id,
            agent=row.agent,
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            expires_at=row.expires_at,
            is_current=row.token_sha == own,
        )
        for row in rows
    ]
    return answer(Items(items, None))


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


def _own(request: web.Request) -> bytes:
    return hashed(credential(request.headers.get("Authorization", "")) or "")


ROUTES = (
    Route(
        "GET", "/v1/me/sessions", list_sessions, "sessions", gives=Items[SessionShown],
        tag="people", summary="Your sessions",
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
