"""`fitstream simulate` against the running system: what was acknowledged is what the ledger has."""

import asyncio
import subprocess
import sys

import pytest

from fitstream.client import Client, open_api
from fitstream.merge import Row
from fitstream.simulate.compare import compare_all, settled
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.fleet import Fleet, Order
from fitstream.simulate.port import ApiGateway
from tests.conftest import RunningStack, clean_environ

pytestmark = pytest.mark.stack


def _simulate(stack: RunningStack, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fitstream", "simulate", "--data", str(stack.folder)]
    return subprocess.run(
        [*command, *options],
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
def test_a_day_with_many_faults_arrives_exactly_as_acknowledged(stack: RunningStack) -> None:
    options = ("--devices", "20", "--days", "1", "--faults", "many", "--seed", "71", "--verify")
    first = _simulate(stack, *options)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "20 finished, 0 gave up" in first.stdout
    assert "every slot holds exactly what was acknowledged" in first.stdout
    again = _simulate(stack, *options)
    assert again.returncode == 0, again.stdout + again.stderr


async def test_the_proof_notices_a_row_that_was_never_acknowledged(
    stack: RunningStack, admin: Client
) -> None:
    async with open_api(stack.gateway, stack.admin_key) as api:
        fleet = Fleet(ApiGateway(api, 72), Order(devices=2, days=1))
        await fleet.run(asyncio.Event())
    assert await settled(admin)
    enrolled = [device.enrolled for device in fleet.devices if device.enrolled]
    plans = {d.enrolled.device_id: (d, fleet.plan(d)) for d in fleet.devices if d.enrolled}

    def forgetful(who: Enrolled) -> dict[int, Row]:
        device, plan = plans[who.device_id]
        versions = device.versions(plan)
        versions.pop(device.first)
        return versions

    found = await compare_all(admin, enrolled, forgetful)
    assert (found.equal, found.differing) == (2 * 95, 2)


def test_live_posts_go_on_until_told_to_stop(stack: RunningStack) -> None:
    done = _simulate(stack, "--devices", "2", "--seed", "73", "--for-s", "2", "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2  0 finished, 0 gave up" in done.stdout
