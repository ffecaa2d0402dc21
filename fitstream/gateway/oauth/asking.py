"""What a program asks of the protocol's own routes: its form or query, and how often it may."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from aiohttp import web
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from fitstream.errors import Rejected
from fitstream.gateway.encodings import encoding_of
from fitstream.gateway.keys import API_RATES, REPO, SETTINGS
from fitstream.gateway.oauth.service import Asked, shown_client
from fitstream.gateway.view.addresses import address_of

FORM = "application/x-www-form-urlencoded"
_FORM_MAX_BYTES = 16_384
_FIELDS_MAX = 32
Count = Callable[[web.Request], Awaitable[None]]


async def counted(request: web.Request, count_stranger: Count | None = None) -> Asked:
    """The form, counted for the client that shows its secret, else for the address it comes from:
    what anybody may say of a client must not use up its calls. Raises TooMany.

    `count_stranger` counts those without a secret once more.
    """
    asked = await _asked(request)
    client = await shown_client(request.app[REPO], asked)
    if client is None and count_stranger is not None:
        await count_stranger(request)
    who = client or f"address {address_of(request, request.app[SETTINGS].trusted_proxies)}"
    await request.app[API_RATES].take_as(f"oauth {who}")
    return asked


async def _asked(request: web.Request) -> Asked:
    """The form. Raises Rejected for another type, and for a field that is there twice."""
    if request.content_type != FORM:
        raise Rejected("unsupported_type", f"send {FORM}", 415)
    encoding_of(request)
    if (request.content_length or 0) > _FORM_MAX_BYTES:
        raise Rejected("body_too_large", f"a form holds at most {_FORM_MAX_BYTES} bytes", 413)
    try:
        async with asyncio.timeout(request.app[SETTINGS].body_timeout_s):
            raw = await request.content.read(_FORM_MAX_BYTES + 1)
            while not request.content.at_eof() and len(raw) <= _FORM_MAX_BYTES:
                raw += await request.content.read(_FORM_MAX_BYTES + 1 - len(raw))
    except TimeoutError:
        raise Rejected("slow_body", "the form did not arrive in time", 408) from None
    if len(raw) > _FORM_MAX_BYTES:
        raise Rejected("body_too_large", f"a form holds at most {_FORM_MAX_BYTES} bytes", 413)
    fields = _fields(raw.decode("ascii", errors="replace"))
    return Asked("POST", fields, _readable(request.headers.get("Authorization", "")))


def _readable(authorization: str) -> str:
    """The header; empty for one whose bytes are no text, at which the core would break."""
    try:
        extract_basic_authorization({"Authorization": authorization})
    except ValueError:
        return ""
    return authorization


def query_of(text: str) -> Asked:
    """The query of the authorization page, as it came. Raises Rejected(unreadable)."""
    return Asked("GET", _fields(text))


def _fields(text: str) -> dict[str, str]:
    """Parameters by name, empty ones left out. Raises Rejected(unreadable) for repeated ones."""
    try:
        pairs = parse_qsl(text, max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise Rejected("unreadable", "these parameters cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Rejected("unreadable", "a parameter is there more than once")
    return fields
