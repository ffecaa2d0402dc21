"""Every named crash point: the process dies there while a fleet posts, and nothing is wrong.

`make test` has every process of the data way walk through its points, all of them side by side;
`make faults` has dispatcher and worker do so too, and each point one by one. What is checked are
the invariants over everything that was posted so far, and `fitstream verify`.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from zlib import crc32

import pytest
from aiokafka import AIOKafkaProducer

from fitstream.client import open_client
from fitstream.client.uploads import Uploads
from fitstream.crash import POINTS
from fitstream.simulate.fleet import Fleet, Order
from tests.factories import post_csv
from tests.faults.invariants import Observed
from tests.faults.posting import checked, posting
from tests.faults.system import System
from tests.real import day_of_samples, eventually, last_monday, new_wearer, wait_for_rows

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
ALWAYS = ("gateway", "ledger", "archive", "roller")
ELSEWHERE = {"upload": "worker"}  # a job of the worker's has a point of its own name
TRAINS = ("worker_before_commit", "worker_after_commit")
NO_TRAINING = {"FITSTREAM_COHORT_QUIET_S": "86400", "FITSTREAM_COHORT_MAX_S": "86400"}
# At which pass of the point: not the first where something should have happened before.
PASS = {"gateway": 3, "ledger": 2, "archive": 2}
DEVICES, DAYS = 3, 21  # two finished weeks at least
PATIENCE_S = 120.0
WALK_S = 180.0  # a point of training comes after all its candidates


def process_of(point: str) -> str:
    """The process that passes a point."""
    name = point.partition("_")[0]
    return ELSEWHERE.get(name, name)


def points_of(*names: str) -> dict[str, list[str]]:
    """The points of these processes, in the order in which work passes them."""
    return {name: [point for point in POINTS if process_of(point) == name] for name in names}


async def test_every_process_of_the_data_way_dies_at_each_of_its_points(
    system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    order = Order(DEVICES, DAYS, seed=crc32(b"data way"), faults="many")
    async with posting(system, order, fleets), asyncio.TaskGroup() as tasks:
        walks = [
            tasks.create_task(_walk(system, name, points))
            for name, points in points_of(*ALWAYS).items()
        ]
        poison = tasks.create_task(_post_poison_until(stores, walks))
        await asyncio.wait(walks)
        poison.cancel()
    assert (await checked(system, stores, fleets, ALWAYS)).all == []


@pytest.mark.slow
async def test_dispatcher_and_worker_die_at_each_of_their_points(
    system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await system.start_all(*ALWAYS)
    fleets.append(await system.post(Order(DEVICES, DAYS, seed=crc32(b"jobs"), faults="many")))
    names = ("dispatcher", "worker")
    async with asyncio.TaskGroup() as tasks:
        for name, points in points_of(*names).items():
            tasks.create_task(_walk(system, name, points, settings={}))
        tasks.create_task(_upload(system))
    working = (*ALWAYS, *names, "training")
    assert (await checked(system, stores, fleets, working)).all == []
    await asyncio.gather(*(system.stop(name) for name in names))


async def _walk(
    system: System,
    name: str,
    points: Sequence[str],
    settings: Mapping[str, str] = NO_TRAINING,
) -> None:
    """The process is armed with one point after the other, as soon as it has died at the last."""
    for point in points:
        before = system.crashes(name)
        await system.start(name, _armed(name, point), settings)
        try:
            await eventually(partial(_has_died, system, name, before), WALK_S)
        except pytest.fail.Exception as error:
            raise AssertionError(f"{point} was not passed") from error


async def _has_died(system: System, name: str, before: int) -> bool:
    return system.crashes(name) > before


async def _post_poison_until(stores: Observed, walks: Sequence["asyncio.Task[None]"]) -> None:
    """Something to park, until every walk has ended."""
    while not all(walk.done() for walk in walks):
        await _post_poison(stores)
        await asyncio.sleep(2)


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
    is_training = bool(set(points) & set(TRAINS))
    settings = {} if is_training else NO_TRAINING  # it takes longer than all the rest
    system.told.clear()
    await asyncio.gather(
        *(system.start(name, _armed(name, point), settings) for name, point in dying.items()),
        *(system.start(name, "", settings) for name in working - dying.keys() - set(ALWAYS)),
        system.start_all(*(set(ALWAYS) - dying.keys())),
    )
    order = Order(DEVICES, DAYS, seed=crc32(points[-1].encode()), faults="many")
    fleets.append(await system.post(order))
    if any(point.endswith("_park") for point in points):
        await _post_poison(stores)
    if "upload_after_send" in points:
        await _upload(system)
    await _quiet(system, stores, working | ({"training"} if is_training else set()), dying)
    assert not [device for device in fleets[-1].devices if device.doubt]
    assert fleets[-1].totals.finished == DEVICES
    assert (await checked(system, stores, fleets, working)).all == []
    await asyncio.gather(*(system.stop(name) for name in ("dispatcher", "worker")))


def _armed(name: str, point: str) -> str:
    return f"{point}:{1 if point.endswith('_park') else PASS.get(name, 1)}"


async def _post_poison(stores: Observed) -> None:
    """A record that neither ledger nor archive can take: no customer, and no batch."""
    producer = AIOKafkaProducer(bootstrap_servers=stores.settings.kafka, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(stores.settings.topic, value=b"no sample batch")
    finally:
        await producer.stop()


async def _upload(system: System) -> None:
    """A day in a file, for a customer of its own: all of it ends in the ledger, once."""
    async with open_client(system.run.gateway, system.admin_key) as admin:
        wearer = await new_wearer(admin)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "day.csv"
            path.write_bytes(post_csv(day_of_samples(last_monday())))
            uploads = Uploads(admin._api, wearer.customer.id)
            upload = await uploads.send(path)
        async with asyncio.timeout(PATIENCE_S):
            assert (await uploads.wait(upload.id)).state == "checked"
            await uploads.ingest(upload.id)
            assert (await uploads.wait(upload.id)).state == "ingested"
        assert len(await wait_for_rows(wearer, 96)) == 96


async def _quiet(
    system: System, stores: Observed, waiting: set[str], dying: dict[str, str]
) -> None:
    """Waits until nothing is left to do; fails when a point was not passed by then."""
    deadline = monotonic() + PATIENCE_S
    waits = ["for the first look"]
    while monotonic() < deadline:
        waits = await stores.waits(waiting)
        waits += [f"{p} was not passed" for name, p in dying.items() if not system.crashes(name)]
        if not waits:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"after {PATIENCE_S:.0f} s: {'; '.join(waits)}")
