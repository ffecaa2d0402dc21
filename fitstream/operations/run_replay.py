"""`fitstream replay`: progress while it runs, totals at the end, an error when it is incomplete."""

import asyncio

import click

from fitstream.errors import Rejected
from fitstream.operations.coverage import slot_or_date
from fitstream.operations.replay import Order, Replay, Totals
from fitstream.operations.replay_part import ALL_SLOTS
from fitstream.repo.database import open_repo
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import open_store

_NAMED = 20


def order_of(customer: str | None, first: str | None, end: str | None, resume: bool) -> Order:
    """What the options ask for; raises Rejected(bad_range)."""
    start = ALL_SLOTS[0] if first is None else slot_or_date(first, "--from")
    stop = ALL_SLOTS[1] if end is None else slot_or_date(end, "--to")
    if start >= stop:
        raise Rejected("bad_range", "--from lies behind --to")
    order = Order(customer or "", (start, stop), resume)
    if resume and not order.is_whole:
        raise Rejected("bad_range", "--resume goes with a replay of everything only")
    return order


async def replay(settings: Settings, stop: asyncio.Event, order: Order) -> None:
    """Replays the archive of the sample topic. Raises Rejected(incomplete), Unavailable."""
    async with open_repo(settings) as repo, open_store(settings) as store:
        archive = (store, DataKeys(store, master_keys(settings)))
        totals = await Replay(repo, archive, settings.topic, order).run(stop, click.echo)
    click.echo(summary(totals))
    if totals.is_stopped:
        raise Rejected("incomplete", "stopped; the same command with --resume goes on")
    if not totals.is_complete:
        raise Rejected(
            "incomplete", "not everything is in the archive, or can be opened; see above"
        )


def summary(totals: Totals) -> str:
    """The totals for a person."""
    lines = [
        f"{totals.objects:,} objects, {totals.records:,} records, {totals.samples:,} rows:"
        f" {totals.inserted:,} new, {totals.updated:,} replaced",
        f"parked as dead letters: {totals.parked:,}; of erased customers: {totals.without_key:,}",
    ]
    for title, found in (("not archived", totals.holes), ("cannot be opened", totals.unreadable)):
        lines += [f"{title}: {text}" for text in found[:_NAMED]]
        if len(found) > _NAMED:
            lines.append(f"{title}: {len(found) - _NAMED:,} more")
    return "\n".join(lines)
