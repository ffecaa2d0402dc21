"""Every named crash point: the process dies there while a fleet posts, and nothing is wrong.

`make test` passes all of them in rounds, in each of which every process dies at another of its
points; `make faults` also passes them one by one. What is checked are the invariants over
everything that was posted so far.
"""

import asyncio
from collections.abc import Sequence
from itertools import zip_longest
from time import monotonic
from zlib import crc32

import pytest

from fitstream.crash import POINTS
from fitstream.simulate.fleet import Fleet, Order
from tests.faults.invariants import Observed
from tests.faults.system import System

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
ALWAYS = ("gateway", "ledger", "archive", "roller")
# At which pass of the point: not the first where something should have happened before.
PASS = {"gateway": 3, "ledger": 2, "archive": 2}
DEVICES, DAYS = 3, 21  # two finished weeks at least
PATIENCE_S = 120.0


def process_of(point: str) -> str:
    """The process that passes a point."""
    return point.partition("_")[0]


def rounds() -> list[tuple[str, ...]]:
    """All points, each process at most once in a round."""
    names = dict.fromkeys(map(process_of, POINTS))
    columns = [[point for point in POINTS if process_of(point) == name] for name in names]
    return [tuple(filter(None, row)) for row in zip_longest(*columns)]


@pytest.mark.parametrize("points", rounds(), ids=lambda points: points[-1])
async def test_deaths_of_every_process_at_once_cost_nothing_and_double_nothing(
    points: tuple[str, ...], system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await _die_at(points, system, stores, fleets)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
async def test_a_death_at_this_point_costs_nothing_and_doubles_nothing(
    point: str, system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await _die_at((point,), system, stores, fleets)


async def _die_at(
    points: Sequence[str], system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    dying = {process_of(point): point for point in points}
    working = {*ALWAYS, *dying, *(("dispatcher",) if "worker" in dying else ())}
    system.told.clear()
    armed = [system.start(name, f"{point}:{PASS.get(name, 1)}") for name, point in dying.items()]
    await asyncio.gather(*armed, system.start_all(*(working - dying.keys())))
    order = Order(DEVICES, DAYS, seed=crc32(points[-1].encode()), faults="many")
    fleets.append(await system.post(order))
    await _quiet(system, stores, working, dying)
    assert not [device for device in fleets[-1].devices if device.doubt]
    assert fleets[-1].totals.finished == DEVICES
    assert await stores.wrong(fleets) == []
    assert await stores.archive_wrong() == []
    await asyncio.gather(*(system.stop(name) for name in working - set(ALWAYS)))


async def _quiet(
    system: System, stores: Observed, working: set[str], dying: dict[str, str]
) -> None:
    """Waits until nothing is left to do; fails when a point was not passed by then."""
    deadline = monotonic() + PATIENCE_S
    waits = ["for the first look"]
    while monotonic() < deadline:
        waits = await stores.waits(working)
        waits += [f"{p} was not passed" for name, p in dying.items() if not system.crashes(name)]
        if not waits:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"after {PATIENCE_S:.0f} s: {'; '.join(waits)}")
