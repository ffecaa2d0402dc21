"""What outlives a session is stored while the session is held, so that its end finds that, too."""

from aiohttp import web

from fitstream.errors import Rejected
from fitstream.gateway.credentials import credential
from fitstream.ids import hashed
from fitstream.repo import sessions
from fitstream.repo.database import Db


async def hold(db: Db, request: web.Request) -> None:
    """Keeps the asking session until the transaction ends. Raises Rejected(unauthorized)."""
    token = credential(request.headers.get("Authorization", "")) or ""
    if not await sessions.hold_session(db, hashed(token)):
        raise Rejected("unauthorized", "the session has ended; log in again", 401)
