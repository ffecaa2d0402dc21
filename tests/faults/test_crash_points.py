"""Every named crash point once: the process dies there while a fleet posts, and nothing is wrong.

One system serves all points, one after the other; only the process of the point is started anew,
armed. What is checked are the invariants over everything that was posted so far.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from zlib import crc32

import pytest

from fitstream.crash import POINTS
from fitstream.settings import load
from fitstream.simulate.fleet import Fleet, Order
from tests.faults.invariants import Observed, observed
from tests.faults.system import QUICK, System, open_system, running_up, temporary_folder

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
# In every run of the tests; the others take minutes together and are left to make test-all.
QUICK_ONES = (
    "gateway_after_ack", "ledger_before_commit", "archive_after_put", "roller_before_commit",
)  # fmt: skip
ALWAYS = ("gateway", "ledger", "archive", "roller")
# At which pass of the point: not the first where something should have happened before.
PASS = {"gateway": 3, "ledger": 2, "archive": 2, "roller": 1, "dispatcher": 1, "worker": 1}
DEVICES, DAYS = 3, 21  # two finished weeks at least
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    with temporary_folder() as folder, running_up(folder, QUICK, "--services-only") as run:
        async with open_system(folder, run) as system:
            await system.start_all(*ALWAYS)
            yield system


@pytest.fixture(scope="module")
async def stores(system: System) -> AsyncIterator[Observed]:
    async with observed(load(system.run.settings)) as stores:
        yield stores


@pytest.fixture(scope="module")
def fleets() -> list[Fleet]:
    """Those of all points so far."""
    return []


@pytest.mark.parametrize(
    "point", [p if p in QUICK_ONES else pytest.param(p, marks=pytest.mark.slow) for p in POINTS]
)
async def test_a_death_at_this_point_costs_nothing_and_doubles_nothing(
    point: str, system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    name = point.partition("_")[0]
    system.told.clear()
    if name == "worker":
        await system.start_all("dispatcher")
    await system.start(name, f"{point}:{PASS[name]}")
    order = Order(DEVICES, DAYS, seed=crc32(point.encode()), faults="many")
    fleets.append(await system.post(order))
    working = {*ALWAYS, name}
    await _quiet(stores, working, lambda: system.has_crashed(name))
    assert not [device for device in fleets[-1].devices if device.doubt]
    assert fleets[-1].totals.finished == DEVICES
    assert await stores.wrong(fleets) == []
    assert await stores.archive_wrong() == []
    if name in ("dispatcher", "worker"):
        await system.stop(name)


async def _quiet(stores: Observed, names: set[str], has_crashed: Callable[[], bool]) -> None:
    """Waits until nothing is left to do; fails when the point was not passed by then."""
    deadline = monotonic() + PATIENCE_S
    waits = ["for the crash"]
    while monotonic() < deadline:
        waits = await stores.waits(names)
        if not has_crashed():
            waits.append("the crash point was not passed")
        if not waits:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"after {PATIENCE_S:.0f} s: {'; '.join(waits)}")
