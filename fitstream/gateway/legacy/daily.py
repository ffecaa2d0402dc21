"""PUT /compat/s3/{object}: the phone's daily CSV, which once went straight into a bucket.

It becomes a summary of its day, never samples. The caller decides whose it is, not the `id` in the
file. The session token in the file is stripped and revoked, but for the one that this very request
came with: the phone would be logged out by its own upload.
"""

import re
from datetime import date, timedelta
from hashlib import md5

import msgspec
from aiohttp import web

from fitstream import legacydaily
from fitstream.errors import Rejected
from fitstream.gateway import sessions
from fitstream.gateway.api.answers import now
from fitstream.gateway.bodies import read
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import REPO
from fitstream.gateway.legacy import cookie
from fitstream.gateway.legacy.forms import customer_of
from fitstream.gateway.legacy.shapes import succeeded
from fitstream.gateway.routes import Route
from fitstream.legacydaily import PROVENANCE, DailySummary, Parsed
from fitstream.repo import audit, daily, legacy
from fitstream.repo.daily import Source

_MAX_BYTES = 262_144
_ROWS_MAX = 400
_KEY = re.compile(r"Date_(?P<day>\d{4}-\d{2}-\d{2})_User_id_\w*_fitbitdata\.csv")


async def put_object(request: web.Request) -> web.Response:
    """200 with an ETag, as a bucket answers; a repeat changes nothing."""
    principal, number = customer_of(request)
    if (request.content_length or 0) > _MAX_BYTES:
        raise Rejected("body_too_large", f"a daily CSV has at most {_MAX_BYTES} bytes", 413)
    body = await read(request)
    at = now(request)
    async with request.app[REPO].transaction() as db:
        zone = (await legacy.profile_of(db, number)).zone
        parsed = legacydaily.parse(body, zone, at, _ROWS_MAX)
        summaries = _on_their_day(parsed, request.match_info["object"])
        kept = await daily.store(db, number, Source(PROVENANCE), summaries, at)
        subject = audit.Subject("customer", str(number), number)
        await audit.record(db, principal.actor, "daily_summary.stored", subject)
    await _revoke(request, parsed.tokens)
    response = succeeded(
        "Stored as a daily summary.",
        provenance=PROVENANCE,
        days=[one.day.isoformat() for one in summaries],
        kept=kept,
        rejected=[
            {"index": one.index, "code": one.code, "message": one.message}
            for one in parsed.rejected
        ],
    )
    response.headers["ETag"] = f'"{md5(body, usedforsecurity=False).hexdigest()}"'
    return response


def _on_their_day(parsed: Parsed, key: str) -> list[DailySummary]:
    """The day in the object's name is that of its one row, which may be written past midnight.

    Raises Rejected(nothing_acceptable), Rejected(day_mismatch).
    """
    if not parsed.summaries:
        first = parsed.rejected[0]
        raise Rejected("nothing_acceptable", f"{first.code}: {first.message}", 422)
    named = _KEY.fullmatch(key.rpartition("/")[2])
    if named is None or len(parsed.summaries) > 1:
        return parsed.summaries
    (only,) = parsed.summaries
    day = _day(named["day"])
    if day is None or abs(only.day - day) > timedelta(days=1):
        text = f"the name says {named['day']}, the row {only.day}; send it under its own day"
        raise Rejected("day_mismatch", text, 422)
    return [msgspec.structs.replace(only, day=day)]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def _revoke(request: web.Request, tokens: list[str]) -> None:
    """Whoever reads such a file could be its customer: the sessions in it end."""
    own = credential(request.headers.get("Authorization") or cookie.token_of(request) or "")
    for token in tokens:
        if token != own and token.startswith(sessions.PREFIX):
            await sessions.logout(request.app[REPO], token)


ROUTES = (Route("PUT", "/compat/s3/{object:.+}", put_object, "legacy_put_object"),)
