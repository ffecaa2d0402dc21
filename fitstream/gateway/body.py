"""Reads a body that is no JSON: by a bound of its own, and in time."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from fitstream.errors import Rejected
from fitstream.gateway.encodings import encoding_of
from fitstream.gateway.keys import SETTINGS

_READ = web.RequestKey("read_bounded", bytes)
_SLOWER = 3  # a phone sends five megabytes, not some rows


async def read_bounded(request: web.Request, bytes_max: int) -> bytes:
    """The body; a second reader gets the same bytes, as a call that was overtaken is made again.

    Raises Rejected(body_too_large | slow_body | unreadable | unsupported_encoding).
    """
    if _READ in request:
        return request[_READ]
    encoding_of(request)
    if (request.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    raw = bytearray()
    try:
        async with asyncio.timeout(request.app[SETTINGS].body_timeout_s * _SLOWER):
            async for part in request.content.iter_chunked(65_536):
                raw += part
                if len(raw) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError:
        raise Rejected("slow_body", "the body did not arrive in time", 408) from None
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise Rejected("unreadable", "the body is not what its headers say") from error
    request[_READ] = bytes(raw)
    return request[_READ]


def _too_large(bytes_max: int) -> Rejected:
    text = f"the body is larger than {bytes_max / 1_048_576:g} MiB"
    return Rejected("body_too_large", text, 413)
