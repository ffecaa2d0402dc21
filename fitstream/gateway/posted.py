"""Reading a form, whatever was sent as one: what cannot be read is refused, and never a bug."""

import asyncio

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import FileField
from multidict import MultiDictProxy

from fitstream.errors import Rejected
from fitstream.gateway.encodings import encoding_of

UNREADABLE: tuple[type[Exception], ...] = (
    ValueError, LookupError, RuntimeError, AssertionError, ClientPayloadError,
    web.RequestPayloadError, HttpProcessingError,
)  # fmt: skip
"""What the parsers raise for charsets, boundaries, packings and lengths that are none."""


async def read_form(
    request: web.Request, patience_s: float
) -> MultiDictProxy[str | bytes | bytearray | FileField]:
    """The fields; a second reader gets the same ones. A body of another type has none.

    Raises Rejected: slow_body (408), body_too_large (413), unreadable (400),
    unsupported_encoding (415).
    """
    encoding_of(request)
    try:
        async with asyncio.timeout(patience_s):
            return await request.post()
    except TimeoutError:
        raise Rejected("slow_body", "the form did not arrive in time", 408) from None
    except web.HTTPRequestEntityTooLarge:
        text = "the form is larger than allowed; choose a smaller file"
        raise Rejected("body_too_large", text, 413) from None
    except UNREADABLE as error:
        raise Rejected(
            "unreadable", "the form cannot be read; reload the page, try again"
        ) from error
