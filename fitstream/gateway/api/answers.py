"""What every resource needs: JSON answers, typed bodies, query parameters, cursors."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from fitstream.clock import slot_end_of, slot_of
from fitstream.errors import Rejected
from fitstream.gateway.bodies import read
from fitstream.gateway.keys import SETTINGS

T = TypeVar("T")
LIMIT_MAX = 500
FIRST_YEAR, LAST_YEAR = 1970, 2200
_LIMIT = 50
_LIMIT_DIGITS = 6
_encode = msgspec.json.Encoder().encode


def answer(body: object, status: int = 200) -> web.Response:
    """`body` as JSON; personal data is never cached."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(
        body=_encode(body), status=status, content_type="application/json", headers=headers
    )


def page(items: Sequence[object], following: object | None) -> web.Response:
    """A page of a list: items, and the cursor of the next page or null."""
    return answer({"items": items, "next": None if following is None else cursor(following)})


def cursor(value: object) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(_encode(value)).decode().rstrip("=")


def after(request: web.Request, kind: type[T]) -> T | None:
    """The cursor that the caller sent back. Raises Rejected(bad_cursor)."""
    text = request.query.get("after")
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise Rejected("bad_cursor", "`after` is not a cursor of this list") from error


def limit(request: web.Request, default: int = _LIMIT, most: int = LIMIT_MAX) -> int:
    """Entries per page. Raises Rejected(bad_limit)."""
    text = request.query.get("limit", str(default))
    wanted = int(text) if text.isdecimal() and len(text) <= _LIMIT_DIGITS else 0
    if not 1 <= wanted <= most:
        raise Rejected("bad_limit", f"`limit` must be a number from 1 to {most}")
    return wanted


async def body(request: web.Request, kind: type[T]) -> T:
    """The JSON body as `kind`. Raises Rejected(invalid) naming the field."""
    raw = await read(request)
    if request.content_type != "application/json":
        raise Rejected("unsupported_type", "send application/json", 415)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Rejected("invalid", str(error), 422) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected("unreadable", f"the body is not JSON: {error}") from error


def slot_span(request: web.Request, default: tuple[int, int]) -> tuple[int, int]:
    """Half-open slots of `from` and `to` (RFC 3339). Raises Rejected(bad_range)."""
    start, end = (_instant(request, name) for name in ("from", "to"))
    first = default[0] if start is None else slot_of(start)
    last = default[1] if end is None else slot_end_of(end)
    if last < first:
        raise Rejected("bad_range", "`to` lies before `from`")
    return first, last


def day(request: web.Request, name: str, default: date) -> date:
    """A calendar day of the query. Raises Rejected(bad_range)."""
    text = request.query.get(name)
    if not text:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise Rejected("bad_range", f"`{name}` is not a day; write it like 2026-11-23") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Rejected("bad_range", f"`{name}` must lie between {FIRST_YEAR} and {LAST_YEAR}")
    return found


def now(request: web.Request) -> datetime:
    """The instant of this request, moved by the test setting for clock jumps."""
    return datetime.fromtimestamp(
        datetime.now(UTC).timestamp() + request.app[SETTINGS].clock_offset_s, UTC
    )


def without(value: msgspec.Struct, *names: str) -> dict[str, Any]:
    """A struct as a dict, without the fields that stay inside."""
    fields = msgspec.structs.asdict(value)
    return {name: field for name, field in fields.items() if name not in names}


def _instant(request: web.Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected("bad_range", f"`{name}` is not an RFC 3339 time") from error
    if found.tzinfo is None:
        raise Rejected("bad_range", f"`{name}` needs its zone, like 2026-11-23T00:00:00Z")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Rejected("bad_range", f"`{name}` must lie between {FIRST_YEAR} and {LAST_YEAR}")
    return found
