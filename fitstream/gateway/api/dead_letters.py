"""Dead letters: what could not be applied and why; replay and discard."""

import base64
from typing import Any

from aiohttp import web

from fitstream import events
from fitstream.client import operations as shapes
from fitstream.clock import slot_start
from fitstream.errors import NotFound, Rejected
from fitstream.events import SampleBatch
from fitstream.gateway.api.answers import answer
from fitstream.gateway.api.listing import next_of, slice_of
from fitstream.gateway.keys import REPO
from fitstream.gateway.parameters import unknown
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.merge import unscaled
from fitstream.operations import dead_letters as operations
from fitstream.repo import dead_letters
from fitstream.repo.contacts import instant_of
from fitstream.repo.dead_letters import REASONS, DeadLetter, Only
from fitstream.repo.ledger import UNFIT
from fitstream.repo.sorts import LETTERS

_ID_MAX = 2**63 - 1


async def list_dead_letters(request: web.Request) -> web.Response:
    asked = slice_of(request, LETTERS)
    state, reason = (request.query.get(name) or None for name in ("state", "reason"))
    only = Only(state, reason, within(request))
    async with request.app[REPO].connection() as db:
        found = await dead_letters.list_dead_letters(db, only, asked)
        reasons = await dead_letters.reason_counts(db, only)
    if reason and not found.items and asked.after is None:
        _check_reason(reason, [each.reason for each in reasons])
    following = next_of(asked, found.following)
    items = [_shown(letter) for letter in found.items]
    return answer({"items": items, "next": following, "reasons": reasons})


def _check_reason(reason: str, there: list[str]) -> None:
    """Raises Rejected(bad_filter) for a reason that no record can have been parked for."""
    known = sorted({*REASONS, *there})
    if reason not in known:
        raise unknown("reason", known)


async def get_dead_letter(request: web.Request) -> web.Response:
    return answer(await _whole(request, _id(request)))


async def replay(request: web.Request) -> web.Response:
    await replay_as(request)
    return answer(await _whole(request, _id(request)))


async def replay_as(request: web.Request) -> None:
    """Applies the record of the path again, on behalf of who calls."""
    await operations.replay(request.app[REPO], _id(request), _who(request))


async def discard(request: web.Request) -> web.Response:
    await discard_as(request)
    return answer(await _whole(request, _id(request)))


async def discard_as(request: web.Request) -> None:
    """Gives the record of the path up, on behalf of who calls."""
    await operations.discard(request.app[REPO], _id(request), _who(request))


def _who(request: web.Request) -> operations.By:
    """The account that asks; the key where it belongs to none."""
    principal: Principal = request[PRINCIPAL]
    return operations.By(principal.account_id or principal.key_id, principal.actor)


def _id(request: web.Request) -> int:
    """The number of the path; what is none is not found."""
    text = request.match_info["letter"]
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) > _ID_MAX:
        raise NotFound(f"dead letter {text}")
    return int(text)


async def _whole(request: web.Request, letter_id: int) -> dict[str, Any]:
    """One with its bytes, and what they say where they can be read."""
    async with request.app[REPO].connection() as db:
        letter = await dead_letters.get_dead_letter(db, letter_id)
        value = await dead_letters.value_of(db, letter_id)
    shown = {"value": base64.b64encode(value).decode(), "decoded": decoded(value)}
    return _shown(letter) | shown


def _shown(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": str(letter.id),
        "state": letter.state,
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "generation": letter.generation,
        "partition": letter.partition,
        "offset": letter.record_offset,
        "key": None if letter.key is None else letter.key.decode(errors="replace"),
        "size": letter.size,
        "parked_at": letter.at,
        "settled_at": letter.settled_at,
        "settled_by": letter.settled_by,
    }


def decoded(value: bytes) -> dict[str, Any] | None:
    """The post that the bytes hold, None when they cannot be read as one."""
    try:
        batch = events.decode(value)
        return _post(batch)
    except (Rejected, *UNFIT):
        return None


def _post(batch: SampleBatch) -> dict[str, Any]:
    through = batch.complete_through
    return {
        "batch_id": batch.batch_id,
        "customer_id": batch.customer_id,
        "device_id": batch.device_id,
        "received_at": instant_of(batch.received_at),
        "sent_at": None if batch.sent_at is None else instant_of(batch.sent_at),
        "complete_through": None if through is None else slot_start(through),
        "app_version": batch.app_version,
        "samples": [
            {"slot": slot_start(slot), **unscaled(row.values), "rev": row.rev}
            | ({"deleted": True} if row.deleted else {})
            for slot, row in events.rows(batch.columns)
        ],
    }


ROUTES = (
    Route(
        "GET", "/v1/dead-letters", list_dead_letters, "letters",
        gives=shapes.DeadLetters,
        query=("letter_state", "reason", "letters_sort", "after", "limit"),
        tag="operations", summary="List dead letters, newest first by default",
    ),
    Route(
        "GET", "/v1/dead-letters/{letter}", get_dead_letter, "letter",
        gives=shapes.DeadLetter, tag="operations", summary="Read a dead letter and its bytes",
    ),
    Route(
        "POST", "/v1/dead-letters/{letter}/replay", replay, "letter_replay",
        state_of="/v1/dead-letters/{letter}",
        gives=shapes.DeadLetter, tag="operations", summary="Apply a dead letter again",
    ),
    Route(
        "POST", "/v1/dead-letters/{letter}/discard", discard, "letter_discard",
        state_of="/v1/dead-letters/{letter}",
        gives=shapes.DeadLetter, tag="operations", summary="Give a dead letter up",
    ),
)  # fmt: skip
