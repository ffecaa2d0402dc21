"""How a body may be packed: plain or as gzip, wherever one is read."""

from aiohttp import web

from fitstream.errors import Rejected

_TAKEN = ("identity", "gzip")


def encoding_of(request: web.Request) -> str:
    """`identity` or `gzip`. Raises Rejected(unsupported_encoding) for any other packing.

    The HTTP library unpacks some others, and hands on what it does not know as it came.
    """
    encoding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if encoding and encoding not in _TAKEN:
        raise Rejected("unsupported_encoding", "send the body plain or as gzip", 415)
    return encoding or "identity"
