"""Validators (RFC 9110): an `ETag` for every read, 304 for who has it, 412 for who has another.

The tag is of the bytes as they are; what is packed for the way has the same tag with a suffix.
"""

from hashlib import sha256

from aiohttp import web

PACKED = "-gzip"
_DIGITS = 32


def etag_of(body: bytes) -> str:
    """The strong validator of a body."""
    return f'"{sha256(body).hexdigest()[:_DIGITS]}"'


def packed(etag: str) -> str:
    """The validator of the same body, packed."""
    return f'{etag[:-1]}{PACKED}"'


def matches(header: str, etag: str) -> bool:
    """Whether `If-Match` or `If-None-Match` names the tag, packed or not; `*` names any."""
    named = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in named or etag in named or packed(etag) in named


def tag(request: web.Request, response: web.Response) -> web.Response:
    """The answer to a read with its `ETag`; 304 without a body when the caller has it."""
    if response.status != 200 or not isinstance(response.body, bytes):
        return response
    etag = response.headers.setdefault("ETag", etag_of(response.body))
    known = request.headers.get("If-None-Match")
    if known is None or not matches(known, etag):
        return response
    kept = ("ETag", "Cache-Control", "Vary", "X-Content-Type-Options")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    return web.Response(status=304, headers=headers)
