"""A file on its way in: to disk piece by piece, bounded in size, time and number.

Never in memory as a whole, and never looked into further than its first bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple, Protocol

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import ContentEncodingError

from fitstream.errors import Rejected, TooMany
from fitstream.gateway.encodings import encoding_of
from fitstream.settings import Settings
from fitstream.uploads.opening import PEEK_BYTES

_PIECE_BYTES = 262_144
_BUSY_S = 10.0
_PAUSES = 3  # a phone between two cells
LEAST_PER_S = 32_768


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
    """How many files may be on their way in at once in this process: one of each sender."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.senders: set[str] = set()

    @contextmanager
    def of(self, sender: str) -> Iterator[None]:
        """Room for a file of `sender`. Raises TooMany when all is taken, or theirs is."""
        if len(self.senders) >= self._most or sender in self.senders:
            raise TooMany(_BUSY_S)
        self.senders.add(sender)
        try:
            yield
        finally:
            self.senders.discard(sender)


class Pace:
    """How far a file has to have come: it may pause, but a trickle holds no room for long.

    In all it has `patience_s`, and a second more for every `LEAST_PER_S` bytes that came.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._ends_at = asyncio.get_running_loop().time() + _PAUSES * patience_s

    def ends_at(self, size: int) -> float:
        """When a file of which `size` bytes have come is given up, in the loop's time."""
        return self._ends_at + size / LEAST_PER_S

    def deadline(self, size: int) -> float:
        """By when the piece after `size` bytes must be there."""
        now = asyncio.get_running_loop().time()
        return min(now + self._patience_s, self.ends_at(size))


ROOM = web.AppKey("upload_room", UploadRoom)


def body_pieces(request: web.Request) -> Pieces:
    """The body of a request, inflated where it is sent so. Raises Rejected."""
    encoding_of(request)

    async def read() -> bytes:
        return await request.content.read(_PIECE_BYTES)

    return read


@asynccontextmanager
async def received(
    request: web.Request, sender: str, pieces: Pieces, settings: Settings
) -> AsyncIterator[Received]:
    """The whole file. Raises Rejected(file_too_large, slow_body, empty, unreadable), TooMany.

    `sender` tells people and programs apart: each has one file on its way in at a time.
    """
    with request.app[ROOM].of(sender), TemporaryDirectory(prefix="fitstream-in-") as folder:
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
    pace = Pace(settings.body_timeout_s)
    while piece := await _next(pieces, pace.deadline(size)):
        size += len(piece)
        if size > settings.upload_max_bytes:
            text = f"a file may have {settings.upload_max_bytes} bytes; send it in parts"
            raise Rejected("file_too_large", text, 413)
        if len(first) < PEEK_BYTES:
            first = (first + piece)[:PEEK_BYTES]
        digest.update(piece)
        await asyncio.to_thread(file.write, piece)
    return size, digest.hexdigest(), first


async def _next(pieces: Pieces, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            return await pieces()
    except TimeoutError:
        raise Rejected("slow_body", "the file did not arrive in time", 408) from None
    except (web.RequestPayloadError, ContentEncodingError, ClientPayloadError) as error:
        raise Rejected("unreadable", "the body is not what its headers say") from error
