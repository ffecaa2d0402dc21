"""Dead letters: what could not be applied and why; replay and discard."""

from typing import Any

import msgspec
from aiohttp import web

from fitstream.client.operations import DeadLetter, ReasonCount
from fitstream.errors import Rejected
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api import dead_letters as letter_views
from fitstream.gateway.view import words
from fitstream.gateway.view.templates import html, see
from fitstream.repo.sorts import LETTERS

STATES = ("parked", "replayed", "discarded")
_ANY = "any"
_LIST = "/admin/dead-letters"
_STILL_UNFIT = 422
_BYTES_SHOWN = 3000


class LettersPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list, and how many there are by reason."""

    letters: list[DeadLetter]
    reasons: list[ReasonCount]
    state: str
    reason: str
    states: tuple[str, ...]
    links: dict[str, str]
    sorting: Sorting
    first: str | None
    following: str | None


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """One record with what its bytes say."""

    letter: DeadLetter
    facts: list[tuple[str, str]]
    columns: list[str]
    rows: list[list[str]]
    value: str
    is_cut: bool
    was_tried: bool


async def list_letters(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Parked ones, unless another state is asked for."""
    state, reason = request.query.get("state", ""), request.query.get("reason", "")[:100]
    state = state if state in (*STATES, _ANY) else STATES[0]
    after = request.query.get("after", "")
    sorting = sorting_of(request, LETTERS, _LIST, {"state": state, "reason": reason})
    asked = {"reason": reason, "sort": sorting.asked}
    wanted = asked | {"state": "" if state == _ANY else state, "after": after}
    found = await reads.dead_letters(request, **wanted)
    asked["state"] = state
    page = LettersPage(
        letters=found.items,
        reasons=found.reasons,
        state=state,
        reason=reason,
        states=STATES,
        links={each.reason: href(_LIST, state=state, reason=each.reason) for each in found.reasons},
        sorting=sorting,
        first=href(_LIST, **asked) if after else None,
        following=href(_LIST, **asked, after=found.next) if found.next else None,
    )
    return html(request, "admin/dead_letters.html", viewer.shell("letters"), page)


async def show_letter(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """One record."""
    letter = await reads.dead_letter(request)
    post = letter.decoded or {}
    samples = post.get("samples", [])
    columns = list(dict.fromkeys(name for row in samples for name in row))
    page = LetterPage(
        letter=letter,
        facts=[(words.plain(name), _text(post[name])) for name in post if name != "samples"],
        columns=[words.plain(name) for name in columns],
        rows=[[_text(row.get(name)) for name in columns] for row in samples],
        value=letter.value[:_BYTES_SHOWN],
        is_cut=len(letter.value) > _BYTES_SHOWN,
        was_tried=request.query.get("tried") == "1" and letter.state == STATES[0],
    )
    return html(request, "admin/dead_letter.html", viewer.shell("letters"), page)


async def replay(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Applies it again; one that still cannot be applied is shown with its new reason."""
    try:
        await letter_views.replay_as(request)
    except Rejected as error:
        if error.status != _STILL_UNFIT:
            raise
        return see(f"{_path(request)}?tried=1")
    return see(_path(request))


async def discard(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Gives it up."""
    await letter_views.discard_as(request)
    return see(_path(request))


def _path(request: web.Request) -> str:
    return f"/admin/dead-letters/{request.match_info['letter']}"


def _text(value: Any) -> str:
    return words.DASH if value is None else str(value)
