"""Fleets that post while others are struck, and the check of everything they were acknowledged."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka.errors import KafkaError

from fitstream.client import open_api
from fitstream.errors import FitstreamError
from fitstream.simulate.fleet import Fleet, Order
from fitstream.simulate.port import ApiGateway
from tests.faults.invariants import Observed, ledger_of
from tests.faults.system import System, clean_environ

QUIET_S = 240.0
VERIFY_S = 900.0  # it fetches every file of every version
WORK = ("ledger", "archive", "roller", "worker")


class Checked(NamedTuple):
    """Acknowledged slots of all fleets, and sentences about what is not as it must be."""

    slots: int
    lost: list[str]
    doubled: list[str]
    wrong: list[str]

    @property
    def all(self) -> list[str]:
        """Every sentence."""
        return [*self.lost, *self.doubled, *self.wrong]


@asynccontextmanager
async def posting(system: System, order: Order, fleets: list[Fleet]) -> AsyncIterator[None]:
    """Fleets like `order` post, one after the other, as long as the block runs."""
    stop = asyncio.Event()
    async with open_api(system.run.gateway, system.admin_key) as api:

        async def post() -> None:
            seed = order.seed
            while not stop.is_set():
                fleets.append(Fleet(ApiGateway(api, seed), order._replace(seed=seed)))
                await fleets[-1].run(stop)
                seed += 1

        task = asyncio.create_task(post())
        try:
            yield
        finally:
            stop.set()
            await task


async def rest(stores: Observed, names: Iterable[str] = WORK) -> list[str]:
    """Waits until nothing is left to do; what still waits after QUIET_S."""
    deadline = time.monotonic() + QUIET_S
    while True:
        try:
            waits = await stores.waits(names)
        except (FitstreamError, KafkaError, OSError) as error:
            waits = [f"a service is away: {error}"]
        if not waits or time.monotonic() > deadline:
            return [f"not at rest: {what}" for what in waits]
        await asyncio.sleep(0.5)


async def checked(
    system: System, stores: Observed, fleets: list[Fleet], names: Iterable[str] = WORK
) -> Checked:
    """Waits for rest, then holds everything against what was acknowledged; `verify` comes last."""
    wrong = await rest(stores, names)
    found = Checked(0, [], [], wrong)
    async with stores.repo.connection() as db:
        for fleet in fleets:
            ledger = await ledger_of(db, fleet)
            found = found._replace(slots=found.slots + ledger.slots)
            found.lost.extend(ledger.lost)
            found.doubled.extend(ledger.doubled)
    wrong += [text for fleet in fleets for text in fleet.totals.surprises]
    wrong += await stores.wrong(())
    wrong += await stores.archive_wrong()
    return found._replace(wrong=wrong + await asyncio.to_thread(_verify, system))


def _verify(system: System) -> list[str]:
    """What `fitstream verify` finds on the running system."""
    command = [sys.executable, "-m", "fitstream", "verify", "--data", str(system.folder)]
    done = subprocess.run(
        command, env=clean_environ(), capture_output=True, text=True, check=False, timeout=VERIFY_S
    )
    if not done.returncode:
        return []
    return [f"fitstream verify: {done.stdout[-1500:]} {done.stderr[-500:]}"]
