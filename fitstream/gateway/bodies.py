"""Reading a body within its deadline and size, whoever asks for it first."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from fitstream.errors import Rejected
from fitstream.gateway.encodings import encoding_of
from fitstream.gateway.keys import SETTINGS


async def read(request: web.Request) -> bytes:
    """The whole body, inflated; a second reader gets the same bytes.

    Raises Rejected: slow_body (408), unreadable (400), body_too_large (413),
    unsupported_encoding (415).
    """
    encoding_of(request)
    try:
        async with asyncio.timeout(request.app[SETTINGS].body_timeout_s):
            return await request.read()
    except TimeoutError:
        raise Rejected("slow_body", "the body did not arrive in time", 408) from None
    except web.HTTPRequestEntityTooLarge:
        raise Rejected("body_too_large", "the body is larger than allowed", 413) from None
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise Rejected("unreadable", "the body is not what its headers say") from error
