"""`fitstream dead-letters`: lists what is parked, and settles it, over the API."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import click

from fitstream.client import Client, open_client
from fitstream.client.operations import DeadLetter, DeadLetters
from fitstream.errors import Rejected

ALL = "all"
_PAGE = "500"
_SHOWN = "50"


class Order(NamedTuple):
    """What the command was asked for; `state` may be all, `replay` an id or all."""

    reason: str = ""
    state: str = "parked"
    replay: str = ""
    discard: str = ""


def run_dead_letters(api: tuple[str, str], order: Order) -> int:
    """Does it through `api` (address, key); 1 when a record stays parked, else 0.

    Raises NotFound, Conflict(not_parked), Unavailable.
    """
    return asyncio.run(_run(api, order))


async def _run(api: tuple[str, str], order: Order) -> int:
    async with open_client(*api) as admin:
        if order.discard:
            return _told(await admin.settle_letter(order.discard, "discard"))
        if order.replay == ALL:
            return await replay_all(admin, order.reason)
        if order.replay:
            return await _replay(admin, order.replay)
        state = "" if order.state == ALL else order.state
        found = await admin.dead_letters(state=state, reason=order.reason, limit=_SHOWN)
        click.echo("\n".join(lines_of(found)))
    return 0


async def replay_all(admin: Client, reason: str) -> int:
    """Applies every parked record, perhaps of one reason only, the oldest of a page first."""
    applied = stays = 0
    async for letter in _parked(admin, reason):
        if await _replay(admin, letter.id):
            stays += 1
        else:
            applied += 1
    click.echo(f"{applied:,} replayed, {stays:,} stay parked")
    return 1 if stays else 0


async def _parked(admin: Client, reason: str) -> AsyncIterator[DeadLetter]:
    after = ""
    while True:
        page = await admin.dead_letters(state="parked", reason=reason, after=after, limit=_PAGE)
        for letter in reversed(page.items):
            yield letter
        if page.next is None:
            return
        after = page.next


async def _replay(admin: Client, letter_id: str) -> int:
    try:
        return _told(await admin.settle_letter(letter_id, "replay"))
    except Rejected as error:
        click.echo(f"{letter_id} stays parked: {error.code}: {error.message}")
        return 1


def _told(letter: DeadLetter) -> int:
    click.echo(f"{letter.id} is {letter.state}")
    return 0


def lines_of(found: DeadLetters) -> list[str]:
    """A page for a person: counts by reason, then one line per record."""
    if not found.items:
        return ["no dead letters"]
    counts = ", ".join(f"{each.reason} {each.count:,}" for each in found.reasons)
    lines = [f"by reason: {counts}", *(_line(letter) for letter in found.items)]
    return lines + ([f"… and older ones; the newest {_SHOWN} are shown"] if found.next else [])


def _line(letter: DeadLetter) -> str:
    place = f"{letter.topic}/{letter.generation}/{letter.partition}@{letter.offset}"
    text = letter.detail.partition("\n")[0][:80]
    return f"{letter.id:>8}  {letter.state:<9}  {letter.reason:<16}  {place}  {text}"
