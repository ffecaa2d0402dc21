"""`fitstream simulate` as a command: progress, a small table, and perhaps the proof."""

import asyncio
from collections.abc import Iterator, Sequence

import click

from fitstream.client import Client, open_api
from fitstream.merge import Row
from fitstream.simulate.compare import Comparison, compare_all, settled
from fitstream.simulate.device import Device
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.fleet import IN_FLIGHT, Fleet, Order
from fitstream.simulate.port import ApiGateway
from fitstream.simulate.progress import Progress
from fitstream.simulate.session import EXIT_FAILED, run_session
from fitstream.simulate.verifying import words

SETTLE_S = 600.0
_SHOW_EVERY_S = 0.5
_AT_A_TIME = 500  # devices whose rows are in memory at once


def run_simulate(order: Order, target: tuple[str, str], is_verified: bool = False) -> int:
    """Simulates through `target` (address, key); 1 when an answer or the ledger was wrong."""

    async def main(stop: asyncio.Event) -> int:
        async with open_api(*target, connections=IN_FLIGHT) as api:
            fleet = Fleet(ApiGateway(api, order.seed), order)
            await _run(fleet, order, stop)
            click.echo(table(fleet))
            agrees = not is_verified or await _verify(Client(api), fleet)
        return 0 if agrees and not fleet.totals.surprises else EXIT_FAILED

    return run_session("simulate", main)


async def _run(fleet: Fleet, order: Order, stop: asyncio.Event) -> None:
    rows = None if order.live or order.faults != "none" else order.devices * order.days * 96
    with Progress("rows accepted", rows) as progress:
        showing = asyncio.create_task(_show(fleet, progress))
        try:
            await fleet.run(stop)
        finally:
            showing.cancel()
            _show_once(fleet, progress)


async def _show(fleet: Fleet, progress: Progress) -> None:
    """Tells what changed; while everybody waits there is nothing to tell."""
    shown = -1
    while True:
        done = fleet.totals.posts + fleet.totals.away + fleet.totals.slowed
        if done != shown:
            shown = done
            _show_once(fleet, progress)
        await asyncio.sleep(_SHOW_EVERY_S)


def _show_once(fleet: Fleet, progress: Progress) -> None:
    totals = fleet.totals
    away = f", {totals.away:,} not acknowledged" if totals.away else ""
    progress.show(totals.accepted, f"{totals.posts:,} posts, {totals.enrolled:,} devices{away}")


def table(fleet: Fleet) -> str:
    """What happened, for a person."""
    totals = fleet.totals
    rate = totals.posts / max(totals.seconds, 0.001)
    doubtful = sum(device.doubt > 0 for device in fleet.devices)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in totals.sent.most_common())
    lines = [
        f"devices    {totals.enrolled:>11,}  {totals.finished:,} finished, {totals.lost:,} gave up,"
        f" {doubtful:,} with a post in doubt, {totals.paused:,} paused from afar",
        f"posts      {totals.posts:>11,}  in {totals.seconds:.1f} s, {rate:,.0f}/s;"
        f" {totals.slowed:,} told to slow down, {totals.away:,} not acknowledged",
        f"rows sent  {sum(totals.sent.values()):>11,}  {kinds}",
        f"accepted   {totals.accepted:>11,}",
        f"refused    {totals.refused:>11,}  as they had to be",
        f"surprises  {totals.surprised:>11,}",
    ]
    if totals.renewed:  # whoever else posts with one of them has to be given the new one
        text = "keys made anew: these devices were there, and the keys they had have ended"
        lines.insert(1, f"new keys   {totals.renewed:>11,}  {text}")
    return "\n".join([*lines, *(f"  {surprise}" for surprise in totals.surprises)])


async def _verify(admin: Client, fleet: Fleet) -> bool:
    """Whether the ledger holds exactly what was acknowledged.

    Devices with a post whose outcome is unknown are left out: either answer would be right.
    """
    sure = [device for device in fleet.devices if device.enrolled and not device.doubt]
    if not await settled(admin, SETTLE_S):
        click.echo("the ledger is still behind the topic; comparing anyway", err=True)
    total = Comparison()
    with Progress("devices compared", len(sure)) as progress:
        for some in _parts(sure):
            _add(total, await _compare(admin, fleet, some))
            progress.show(total.customers)
    click.echo(words(total))
    return total.agrees


async def _compare(admin: Client, fleet: Fleet, devices: Sequence[Device]) -> Comparison:
    enrolled = {d.enrolled.device_id: d for d in devices if d.enrolled}

    def expected(who: Enrolled) -> dict[int, Row]:
        device = enrolled[who.device_id]
        return device.versions(fleet.plan(device))

    return await compare_all(admin, [d.enrolled for d in devices if d.enrolled], expected)


def _parts(devices: Sequence[Device]) -> Iterator[Sequence[Device]]:
    for start in range(0, len(devices), _AT_A_TIME):
        yield devices[start : start + _AT_A_TIME]


def _add(total: Comparison, part: Comparison) -> None:
    total.customers += part.customers
    total.add(part.equal, part.examples)
    hidden = part.differing - len(part.examples)
    total.differing += hidden
    total.slots += hidden
