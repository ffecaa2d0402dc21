"""`Idempotency-Key`: a repeated call gets the first one's answer, on every gateway, for a day.

The call and the keeping of its answer are one transaction: both are there or neither is, also
after a crash. While a call runs, another with its key is told to come back. Errors are not kept:
they changed nothing, so a repeat is judged anew.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import NamedTuple

import msgspec
from aiohttp import web

from fitstream.boxes import close_box, open_box
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.keys import MASTERS, REPO
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.repo import idempotency
from fitstream.repo.database import Db
from fitstream.repo.idempotency import KeptAnswer

Act = Callable[[], Awaitable[web.Response]]
HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_VISIBLE = re.compile(r"[!-~]{1,255}")
_KEPT_HEADERS = ("Cache-Control", "ETag", "Location", "X-Content-Type-Options")
_AGAIN_S = 1.0


class KeyedCall(NamedTuple):
    """What tells one call from another: whose key it carries, and what it asks."""

    key_sha: bytes
    call_sha: bytes
    purpose: str


class _Answer(msgspec.Struct, frozen=True):
    status: int
    content_type: str
    headers: dict[str, str]
    body: bytes


def keyed_call(request: web.Request, principal: Principal, body: bytes) -> KeyedCall:
    """The call with the key that its header has. Raises Rejected(bad_key)."""
    key = request.headers[HEADER]
    if not _VISIBLE.fullmatch(key):
        raise Rejected("bad_key", f"`{HEADER}` must be 1 to 255 visible characters")
    who = f"{principal.role}\n{_caller(principal)}\n{key}"
    asked = f"{request.method}\n{request.raw_path}\n{request.content_type}\n".encode()
    key_sha = sha256(who.encode()).digest()
    # The purpose seals with the key itself, which lies in no table.
    purpose = f"idempotency {sha256(b'seal' + who.encode()).hexdigest()}"
    return KeyedCall(key_sha, sha256(asked + body).digest(), purpose)


async def answered_once(request: web.Request, body_sha: bytes, act: Act) -> web.Response:
    """What `act` answers, for handlers that have read a large body themselves.

    With an `Idempotency-Key` it is one transaction with the keeping of the answer; `body_sha`
    stands for the body. What `act` refuses is undone as a whole.
    """
    if HEADER not in request.headers:
        return await act()
    call = keyed_call(request, request[PRINCIPAL], body_sha)
    async with request.app[REPO].joined() as db:
        if (kept := await take(db, call)) is not None:
            return replayed(request, call, kept)
        response = await act()
        await keep(db, request, call, response)
    return response


async def take(db: Db, call: KeyedCall) -> KeptAnswer | None:
    """What was answered before; None when this call is the first.

    Raises Conflict(in_flight) while another with the key runs, Rejected(key_reused) for a key
    that was used for another call.
    """
    if not await idempotency.take(db, call.key_sha):
        text = f"a call with this `{HEADER}` is under way"
        raise Conflict("in_flight", text, retry_after_s=_AGAIN_S)
    kept = await idempotency.kept_answer(db, call.key_sha)
    if kept is not None and kept.call_sha != call.call_sha:
        text = f"this `{HEADER}` was used for another call; make a new one for each call"
        raise Rejected("key_reused", text, 422)
    return kept


async def keep(db: Db, request: web.Request, call: KeyedCall, response: web.Response) -> None:
    """Keeps an answer in the transaction of the call, sealed."""
    body = response.body if isinstance(response.body, bytes) else b""
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    answer = _Answer(response.status, response.content_type, headers, body)
    box = close_box(request.app[MASTERS], call.purpose, msgspec.msgpack.encode(answer))
    await idempotency.keep_answer(db, call.key_sha, call.call_sha, box)


def replayed(request: web.Request, call: KeyedCall, kept: KeptAnswer) -> web.Response:
    """The first answer again, marked as such. Raises Conflict(answer_sealed) after a rotation."""
    try:
        box = open_box(request.app[MASTERS], call.purpose, kept.answer)
    except Rejected as error:
        text = "this call was carried out, but its answer can no longer be opened; read the result"
        raise Conflict("answer_sealed", text) from error
    answer = msgspec.msgpack.decode(box, type=_Answer)
    headers = answer.headers | {REPLAYED: "true"}
    if not answer.body:
        return web.Response(status=answer.status, headers=headers)
    return web.Response(
        body=answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=headers,
    )


def _caller(principal: Principal) -> str:
    """The account, program or device: a key that is renewed is still the same caller.

    What an OAuth client does for a customer is the client's: two of them share no keys, nor does
    either with the customer's own pages.
    """
    owner = principal.account_id or principal.device_id or ""
    return " ".join(filter(None, (principal.client_id, owner))) or principal.key_id
