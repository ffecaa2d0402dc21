"""One random seed of faults in every run of the tests: nothing is lost, nothing doubled.

`python -m benchmarks.faults --kills N --seed S` does the same for as long as one likes.
"""

import os
import random

import pytest

from fitstream.simulate.fleet import Fleet, Order
from tests.faults.invariants import Observed
from tests.faults.posting import checked, posting
from tests.faults.seen import Seen
from tests.faults.strikes import OURS, Striker, planned
from tests.faults.system import System
from tests.faults.upsets import Upsets

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
KILLS = 4
SEED = "FAULTS_SEED"  # set it to run a seed again


async def test_random_deaths_and_freezes_cost_nothing_and_double_nothing(
    system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(10**6))
    print(f"{SEED}={seed}")  # noqa: T201  shown when the test fails
    await system.start_all(*OURS)
    upsets = Upsets(system, stores, Seen(stores, system.folder / "logs"))
    striker = Striker(system, upsets.disturb)
    async with posting(system, Order(3, 20, seed=seed, faults="many", speed=40_000), fleets):
        await striker.run(planned(KILLS, seed, jvm_share=0.0, pause_s=0.8))
    found = await checked(system, stores, fleets)
    assert striker.failed == []
    assert found.all == []
    assert found.slots > 500
