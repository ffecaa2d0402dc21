"""A file on its way in: to disk piece by piece, bounded in size, time and number.

Never in memory as a whole, and never looked into further than its first bytes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple, Protocol

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import ContentEncodingError

from fitstream.errors import Rejected, TooMany
from fitstream.settings import Settings
from fitstream.uploads.opening import PEEK_BYTES

_PIECE_BYTES = 262_144
_BUSY_S = 10.0


class Received(NamedTuple):
    """A file on this machine, gone when the block ends."""

    path: Path
    size: int
    sha256: str
    first: bytes


class Pieces(Protocol):
    """Where the bytes come from: a body, or a part of a form."""

    async def __call__(self) -> bytes:
        """The next piece, empty at the end."""
        ...


class UploadRoom:
    """How many files may be on their way in at once in this process."""

    def __init__(self, most: int) -> None:
        self._left = most

    def __enter__(self) -> None:
        if self._left == 0:
            raise TooMany(_BUSY_S)
        self._left -= 1

    def __exit__(self, *_: object) -> None:
        self._left += 1


ROOM = web.AppKey("upload_room", UploadRoom)


def body_pieces(request: web.Request) -> Pieces:
    """The body of a request, inflated where it is sent so. Raises Rejected."""
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise Rejected("unsupported_encoding", "send the file plain or as gzip", 415)

    async def read() -> bytes:
        return await request.content.read(_PIECE_BYTES)

    return read


@asynccontextmanager
async def received(
    request: web.Request, pieces: Pieces, settings: Settings
) -> AsyncIterator[Received]:
    """The whole file. Raises Rejected(file_too_large, slow_body, empty, unreadable), TooMany."""
    with request.app[ROOM], TemporaryDirectory(prefix="fitstream-in-") as folder:
        path = Path(folder) / "file"
        with await asyncio.to_thread(path.open, "wb") as file:
            size, digest, first = await _spool(pieces, file, settings)
        if size == 0:
            raise Rejected("empty", "the file is empty", 422)
        yield Received(path, size, digest, first)


async def _spool(pieces: Pieces, file: BinaryIO, settings: Settings) -> tuple[int, str, bytes]:
    size = 0
    first = b""
    digest = sha256()
    while piece := await _next(pieces, settings):
        size += len(piece)
        if size > settings.upload_max_bytes:
            text = f"a file may have {settings.upload_max_bytes} bytes; send it in parts"
            raise Rejected("file_too_large", text, 413)
        if len(first) < PEEK_BYTES:
            first = (first + piece)[:PEEK_BYTES]
        digest.update(piece)
        await asyncio.to_thread(file.write, piece)
    return size, digest.hexdigest(), first


async def _next(pieces: Pieces, settings: Settings) -> bytes:
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await pieces()
    except TimeoutError:
        raise Rejected("slow_body", "the file did not arrive in time", 408) from None
    except (web.RequestPayloadError, ContentEncodingError, ClientPayloadError) as error:
        raise Rejected("unreadable", "the body is not what its headers say") from error
