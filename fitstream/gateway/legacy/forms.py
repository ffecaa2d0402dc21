"""Bodies of old clients: a form or JSON, as they like, with texts in it."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web

from fitstream.errors import Rejected
from fitstream.gateway.bodies import read
from fitstream.gateway.keys import SETTINGS
from fitstream.gateway.posted import read_form
from fitstream.gateway.principal import PRINCIPAL, Principal

T = TypeVar("T")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_MAX_BYTES = 65_536
_TEXT_MAX = 1024


async def fields_of(request: web.Request) -> dict[str, str]:
    """The texts of the body by name; whatever else is in it is left out.

    Raises Rejected: body_too_large, slow_body, unreadable.
    """
    if (request.content_length or 0) > _MAX_BYTES:
        raise Rejected("body_too_large", "the body is larger than allowed", 413)
    found = await (_form(request) if request.content_type in _FORMS else _json(request))
    return {name: str(value) for name, value in found.items() if _is_text(value)}


def convert(found: Mapping[str, object], kind: type[T]) -> T:
    """The fields as `kind`. Raises Rejected(invalid) naming the field."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise Rejected("invalid", str(error), 422) from error


def customer_of(request: web.Request) -> tuple[Principal, int]:
    """Who calls, and their number. Raises Rejected(forbidden) for who is no customer."""
    principal = request[PRINCIPAL]
    if principal.customer_no is None:
        raise Rejected("forbidden", "this is for customers and their devices", 403)
    return principal, principal.customer_no


async def _form(request: web.Request) -> Mapping[str, object]:
    return await read_form(request, request.app[SETTINGS].body_timeout_s)


async def _json(request: web.Request) -> Mapping[str, object]:
    """Old clients send JSON under any media type, and GET with a body."""
    body = await read(request)
    try:
        found = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected("unreadable", f"the body is neither a form nor JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _is_text(value: object) -> bool:
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return is_plain and len(str(value)) <= _TEXT_MAX and "\x00" not in str(value)
