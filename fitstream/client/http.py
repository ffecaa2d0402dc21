"""How a call travels: one pool of connections, deadlines, bounded retries, errors as our kinds.

A call is repeated only when that is safe: reads, and posts of samples, which the merge rule makes
idempotent. Every wait honours Retry-After, and is never shorter than a growing back-off.
"""

import asyncio
import math
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from uuid import uuid4

import aiohttp
import msgspec
from yarl import URL

from fitstream.errors import Conflict, FitstreamError, NotFound, Rejected, TooMany, Unavailable

Sleep = Callable[[float], Awaitable[object]]

_AT_ONCE_BYTES = 1_048_576
_DELAY_S = 0.2
_DELAY_MAX_S = 10.0
_RETRY_AFTER_MAX_S = 60.0
_KEY = "Idempotency-Key"
_KEYED_ATTEMPTS = 3
_NOTED_MAX = 256
# Calls about the caller's own standing, and what a repeat does not change: no answer is kept.
_UNKEYED = re.compile(
    r"/v1/(samples|auth/|me/(?!grants|sessions)|oauth/(token|revoke|introspect|device$)|devices/"
    r"|customers/[^/]+/picture)"
).match


class Answer(NamedTuple):
    """What came back: status, headers, and the body's bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Call(NamedTuple):
    """One request; `attempts` above 1 means that repeating it is safe.

    With `patience_s` it is repeated until the waits between attempts would exceed that, however
    many attempts it takes.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes | Path | None = None
    """A path is a file that is sent piece by piece."""
    content_type: str = "application/json"
    attempts: int = 1
    patience_s: float | None = None
    headers: Mapping[str, str] = {}
    timeout_s: float | None = None
    """Of one attempt, where it needs longer than others."""


class _Problem(msgspec.Struct):
    """The fields of a problem+json that decide which kind it becomes."""

    code: str = ""
    detail: str = ""
    id: str | None = None
    rejected: list[dict[str, object]] = []
    challenge: str = ""
    column: str = ""


class Api:
    """One API at one address, for one credential."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str = "",
        forwarded: str = "",
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._etags: dict[str, str] | None = None
        self._session = session
        self._sleep = sleep
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if forwarded:
            self._headers["Forwarded"] = f'for="{forwarded}"'

    def as_who(self, token: str, forwarded: str = "") -> "Api":
        """The same API and connections with another credential."""
        return Api(self._session, token, forwarded, self._sleep)

    def careful(self) -> "Api":
        """The same caller; what it changes must be as it has read it last (`If-Match`)."""
        found = copy(self)
        found._etags = {}
        return found

    async def send(self, call: Call) -> Answer:
        """The answer of a call that succeeded.

        Raises Rejected, NotFound, Conflict, TooMany or Unavailable, the last two only after the
        call's attempts, or its patience, are used up. A change is repeated too: it carries an
        `Idempotency-Key`, so that it is done once however often it arrives.
        """
        call = self.keyed(self._matched(call))
        waited_s = 0.0
        for attempt in count(1):
            try:
                return self._noted(call, await self._once(call))
            except (Unavailable, TooMany, Conflict) as error:
                if error.retry_after_s is None:
                    raise
                wait_s = _wait_s(error, attempt)
                if _is_over(call, attempt, waited_s + wait_s):
                    raise
                await self._sleep(wait_s)
                waited_s += wait_s
        raise AssertionError("counting never ends")

    def keyed(self, call: Call) -> Call:
        """A change of a known caller with a key of its own, where the API keeps its answer."""
        is_known = "Authorization" in self._headers and call.method not in ("GET", "HEAD")
        is_repeated = call.attempts > 1 or call.patience_s is not None
        if not is_known or is_repeated or _UNKEYED(call.path):
            return call
        headers = {_KEY: uuid4().hex, **call.headers}
        return call._replace(attempts=_KEYED_ATTEMPTS, headers=headers)

    def _matched(self, call: Call) -> Call:
        """A change of what was read, with the `ETag` that it had then."""
        etag = (self._etags or {}).get(call.path)
        if etag is None or call.method not in ("PUT", "PATCH", "DELETE"):
            return call
        return call._replace(headers={"If-Match": etag, **call.headers})

    def _noted(self, call: Call, answer: Answer) -> Answer:
        """The answer; its `ETag` is kept where the caller is careful."""
        if self._etags is None:
            return answer
        self._etags.pop(call.path, None)
        if call.method == "GET" and "ETag" in answer.headers:
            self._etags[call.path] = answer.headers["ETag"]
            for oldest in list(self._etags)[:-_NOTED_MAX]:
                del self._etags[oldest]
        return answer

    async def _once(self, call: Call) -> Answer:
        headers = {**self._headers, **call.headers}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        more: dict[str, Any] = {}
        if call.timeout_s is not None:
            more["timeout"] = aiohttp.ClientTimeout(total=call.timeout_s, connect=5)
        try:
            with _opened(call.body) as body:
                async with self._session.request(
                    call.method, call.path, params=call.query, data=body, headers=headers, **more
                ) as response:
                    answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            text = f"{type(error).__name__} {error}".strip()
            raise Unavailable("the API", text, retry_after_s=0.0) from error
        if answer.status >= 400:
            raise _kind(call, answer)
        return answer


@asynccontextmanager
async def open_api(
    base_url: str,
    token: str = "",
    *,
    connections: int = 100,
    timeout_s: float = 15.0,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[Api]:
    """The API at `base_url`; every attempt ends within `timeout_s`.

    Raises Rejected(bad_address) for what is no address of a web server.
    """
    if not base_url.startswith(("http://", "https://")) or not _host(base_url):
        raise Rejected("bad_address", f"{base_url!r} is no address like https://host:port")
    async with aiohttp.ClientSession(
        base_url,
        timeout=aiohttp.ClientTimeout(total=timeout_s, connect=5),
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Api(session, token, sleep=sleep)


@contextmanager
def _opened(body: bytes | Path | None) -> Iterator[bytes | BinaryIO | None]:
    """What is sent; a file is closed afterwards."""
    if isinstance(body, Path):
        with body.open("rb") as file:
            yield file
    elif body is not None and len(body) > _AT_ONCE_BYTES:
        yield BytesIO(body)  # piece by piece: a large one would hold up the loop
    else:
        yield body


def _host(base_url: str) -> str | None:
    try:
        return URL(base_url).host
    except ValueError:
        return None


def _kind(call: Call, answer: Answer) -> FitstreamError:
    problem = _problem(answer)
    retry_after_s = _seconds(answer.headers.get("Retry-After"))
    if answer.status == 429:
        return TooMany(retry_after_s)
    if answer.status >= 500:
        return Unavailable("the API", problem.detail or f"status {answer.status}", retry_after_s)
    if answer.status == 404:
        return NotFound(problem.detail.removesuffix(" was not found") or call.path)
    if answer.status == 409:
        later = retry_after_s if "Retry-After" in answer.headers else None
        return Conflict(problem.code or "conflict", problem.detail, problem.id, later)
    extra: dict[str, object] = {"rejected": problem.rejected} if problem.rejected else {}
    if problem.challenge:
        extra["challenge"] = problem.challenge
    if problem.column:
        extra["column"] = problem.column
    code = problem.code or f"http_{answer.status}"
    return Rejected(code, problem.detail or f"status {answer.status}", answer.status, extra)


def _problem(answer: Answer) -> _Problem:
    try:
        return msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Problem()


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; what cannot be read counts as one second."""
    try:
        found = float(text or 1)
    except ValueError:
        return 1.0
    return 1.0 if math.isnan(found) else min(max(found, 0.0), _RETRY_AFTER_MAX_S)


def _is_over(call: Call, attempt: int, waited_s: float) -> bool:
    """Whether the caller has waited, or tried, as long as it meant to."""
    if call.patience_s is not None:
        return waited_s > call.patience_s
    return attempt >= call.attempts


def _wait_s(error: Unavailable | TooMany | Conflict, attempt: int) -> float:
    """What the server asked for, at least an exponential back-off, with jitter on top."""
    back_off_s: float = min(_DELAY_S * 2.0 ** min(attempt, 10), _DELAY_MAX_S)
    return max(error.retry_after_s or 0.0, back_off_s) * random.uniform(1.0, 1.5)
