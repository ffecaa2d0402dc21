"""Two ledgers, two rollers and two dispatchers, restarted at random: the weeks of one of each."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitstream.client import open_client
from fitstream.simulate.fleet import Fleet
from fitstream.simulate.importing import Importer, ImportPlan
from fitstream.simulate.wearers_file import read_wearers
from tests.faults.again import empty_ledger, hashes
from tests.faults.invariants import Observed
from tests.faults.posting import rest
from tests.faults.strikes import Strike, Striker
from tests.faults.system import RIVALS, System

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
DATA = Path(__file__).parents[2] / "dataset" / "wearers_15min.parquet"
ONE_OF_EACH = ("gateway", "ledger", "archive", "roller", "dispatcher")
TWICE = ("ledger", "roller", "dispatcher", *RIVALS)
WORK = ("ledger", "archive", "roller")


@pytest.mark.parametrize(
    ("wearers", "days", "restarts"),
    [
        pytest.param(3, 16, 6, marks=pytest.mark.slow),
        pytest.param(22, 90, 60, marks=pytest.mark.slow),
    ],
    ids=["a few", "all"],
)
async def test_two_of_each_restarted_at_random_make_the_weeks_of_one_of_each(
    wearers: int, days: int, restarts: int, system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await system.start_all(*ONE_OF_EACH)
    await asyncio.gather(*(system.stop(name) for name in RIVALS))
    await _empty(stores, fleets)
    await _import(system, wearers, days)
    assert await rest(stores, WORK) == []
    async with stores.repo.connection() as db:
        expected = await hashes(db)
    assert len(expected) >= wearers

    await _empty(stores, fleets)
    await system.start_all(*RIVALS)
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  shown when the test fails
    striker = Striker(system, _nothing)
    importing = asyncio.create_task(_import(system, wearers, days))
    await striker.run(_restarts(restarts, seed))
    await importing
    assert striker.failed == []
    assert await rest(stores, WORK) == []
    async with stores.repo.connection() as db:
        assert await hashes(db) == expected
    assert await stores.wrong(fleets) == []
    assert await stores.archive_wrong() == []
    await asyncio.gather(*(system.stop(name) for name in RIVALS))


def _restarts(times: int, seed: int) -> Iterator[Strike]:
    """Kills and freezes of those that exist twice."""
    rng = random.Random(seed)
    for _ in range(times):
        victim = rng.choice(TWICE)
        is_kill = rng.random() < 0.75
        pause_s = rng.uniform(0.3, 1.5)
        yield Strike(
            victim, "kill" if is_kill else "freeze", 0 if is_kill else 5.0, pause_s=pause_s
        )


async def _nothing(how: str) -> None:
    raise AssertionError(how)


async def _empty(stores: Observed, fleets: list[Fleet]) -> None:
    assert await rest(stores, WORK) == []
    async with stores.repo.transaction() as db:
        await empty_ledger(db)
    fleets.clear()


async def _import(system: System, wearers: int, days: int) -> None:
    """The first wearers of the dataset, all of it delivered."""
    file = read_wearers(DATA)
    few = dict(list(file.wearers.items())[:wearers])
    async with open_client(system.run.gateway, system.admin_key) as admin:
        importer = Importer(admin, ImportPlan(DATA, days=days), file._replace(wearers=few))
        await importer.run(asyncio.Event())
    assert importer.totals.undelivered == 0
    assert importer.failures == {}
