"""Each process killed and frozen, each service slow, cut, frozen and killed: nothing is lost.

Proxies stand before Postgres, Valkey, S3 and Kafka. After each cell everything comes to rest, and
every invariant is checked.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from signal import SIGCONT, SIGKILL, SIGSTOP
from time import monotonic
from zlib import crc32

import msgspec
import pytest

from fitstream.settings import load
from fitstream.simulate.fleet import Fleet, Order
from tests.faults.invariants import Observed, observed
from tests.faults.posting import checked, rest
from tests.faults.proxy import Proxy, open_proxy
from tests.faults.system import (
    QUICK,
    System,
    free_port,
    open_system,
    running_up,
    temporary_folder,
)

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
WORK = ("ledger", "archive", "roller")
PROCESSES = ("gateway", "ledger", "archive", "roller", "dispatcher", "worker")
SERVICES = ("kafka", "postgres", "redis", "s3")
CELLS = [
    *((name, how) for name in PROCESSES for how in ("kill", "freeze")),
    *(
        (name, how)
        for name in SERVICES
        for how in ("delay", "throttle", "blackhole", "cut", "freeze", "kill")
    ),
]
FAULT_S, PATIENCE_S = 4.0, 180.0
SETTINGS = QUICK | {"FITSTREAM_COHORT_QUIET_S": "600", "FITSTREAM_COHORT_MAX_S": "3600"}


class Place:
    """The system, its proxies, and what was posted so far."""

    def __init__(self, system: System, proxies: dict[str, Proxy], stores: Observed) -> None:
        self.system = system
        self.proxies = proxies
        self.stores = stores
        self.fleets: list[Fleet] = []


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        before = {name: f"{name}_advertised" for name in SERVICES}
        ports = {name: free_port() for name in (*SERVICES, *before.values())}
        (folder / "ports.json").write_bytes(msgspec.json.encode(ports))
        proxies = {
            name: await stack.enter_async_context(open_proxy(ports[name], ports[before[name]]))
            for name in SERVICES
        }
        # In a thread: set-up reaches Kafka through the proxy, which runs in our loop.
        up = running_up(folder, SETTINGS, "--services-only")
        run = await asyncio.to_thread(up.__enter__)
        stack.callback(up.__exit__, None, None, None)
        behind = {
            "FITSTREAM_KAFKA": f"127.0.0.1:{proxies['kafka'].port}",
            "FITSTREAM_S3_ENDPOINT": f"http://127.0.0.1:{proxies['s3'].port}",
            "FITSTREAM_POSTGRES": run.postgres.replace(
                str(ports["postgres"]), str(proxies["postgres"].port)
            ),
            "FITSTREAM_REDIS": run.redis.replace(str(ports["redis"]), str(proxies["redis"].port)),
        }
        system = await stack.enter_async_context(open_system(folder, run, behind))
        await system.start_all(*PROCESSES)
        stores = await stack.enter_async_context(observed(load(run.settings)))
        yield Place(system, proxies, stores)


@pytest.mark.parametrize(("victim", "how"), CELLS)
async def test_nothing_is_lost_and_all_comes_to_rest(
    victim: str, how: str, place: Place, record_property: Callable[[str, object], None]
) -> None:
    order = Order(2, 15, seed=crc32(f"{victim} {how}".encode()), faults="many")
    posting = asyncio.create_task(place.system.post(order))
    await asyncio.sleep(0.5)
    await _strike(place, victim, how)
    ended = monotonic()
    place.fleets.append(await asyncio.wait_for(posting, PATIENCE_S))
    assert await rest(place.stores, WORK) == []
    rest_s = monotonic() - ended
    wrong = (await checked(place.system, place.stores, place.fleets, WORK)).all
    accepted = place.fleets[-1].totals.accepted
    record_property("cell", (victim, how, f"{accepted:,}", len(wrong), f"{rest_s:.1f}"))
    assert wrong == []
    assert place.fleets[-1].totals.finished == order.devices


async def _strike(place: Place, victim: str, how: str) -> None:
    if how in ("delay", "throttle", "blackhole", "cut"):
        place.proxies[victim].set(how)  # type: ignore[arg-type]
        await asyncio.sleep(FAULT_S)
        place.proxies[victim].set("pass")
        return
    pid = place.system.pid(victim)
    if how == "kill":
        os.kill(pid, SIGKILL)
        return
    os.kill(pid, SIGSTOP)
    await asyncio.sleep(FAULT_S)
    os.kill(pid, SIGCONT)
