"""In whatever order and batches the same posts come, doubled and corrected, a week ends the same.

End to end: HTTP, Kafka, ledger, roller. The weeks' content hashes are compared with each other and
with what the pure merge of all rows comes to.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from fitstream.client import Client, open_client
from fitstream.client.data import NewDevice
from fitstream.clock import slot_of
from fitstream.merge import Row, merged, rank
from fitstream.repo.database import Db
from fitstream.simulate.faults import Plan
from fitstream.simulate.fleet import Fleet
from tests.faults.again import WeekKey, empty_ledger, hashes
from tests.faults.invariants import Observed
from tests.faults.posting import rest
from tests.faults.system import System

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
WORK = ("ledger", "archive", "roller")
Ledger = dict[tuple[str, int], tuple[int, int]]  # (device, slot) to (rev, tie-break)
WEEKS, DEVICES, IN_FLIGHT = 2, 2, 6


class Sent(NamedTuple):
    """A row of one device as it is written."""

    device: int
    row: dict[str, Any]
    slot: int
    version: Row


class Order(NamedTuple):
    """One way to bring the same rows: posts of one device each; some claim to be complete."""

    posts: list[tuple[int, list[dict[str, Any]], bool]]


@pytest.mark.parametrize(
    "orders", [3, pytest.param(25, marks=pytest.mark.slow)], ids=["a few", "many"]
)
async def test_any_order_batches_duplicates_and_corrections_end_in_the_same_weeks(
    orders: int, system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await system.start_all("gateway", "ledger", "archive", "roller")
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  shown when the test fails
    rng = random.Random(seed)
    async with open_client(system.run.gateway, system.admin_key) as admin:
        customer = await admin.create_customer("Europe/Berlin", external_id=f"orders-{seed}")
        devices = [
            await admin.create_device(customer.id, kind, kind) for kind in ("watch", "phone")
        ]
        found: list[dict[WeekKey, str]] = []
        rows = list(rows_of(seed))
        wanted = merge_of(rows, devices)
        for _ in range(orders):
            assert await rest(stores, WORK) == []
            async with stores.repo.transaction() as db:
                await empty_ledger(db)
            fleets.clear()
            await post_all(admin, devices, order_of(rows, rng))
            assert await rest(stores, WORK) == []
            async with stores.repo.connection() as db:
                found.append(await hashes(db))
                assert await ledger_of(db, customer.id) == wanted
            assert await stores.wrong(()) == []
    assert len(found[0]) >= WEEKS
    assert [each == found[0] for each in found] == [True] * orders


def rows_of(seed: int) -> Iterator[Sent]:
    """Everything that two faulty devices ever send about some weeks, refused rows left out."""
    end = slot_of(_monday())
    first = end - WEEKS * 7 * 96
    for device in range(DEVICES):
        plan = Plan(seed, device, "many")
        for sending in plan.due(first, end + 40, first):
            if sending.variant is not None and sending.slot < end:
                version = plan.row(sending.slot, sending.variant)
                yield Sent(device, plan.written(sending), sending.slot, version)


def merge_of(rows: Iterable[Sent], devices: list[NewDevice]) -> Ledger:
    """What the pure merge leaves of all rows."""
    versions: dict[tuple[str, int], list[Row]] = {}
    for sent in rows:
        versions.setdefault((devices[sent.device].id, sent.slot), []).append(sent.version)
    return {key: rank(merged(each)) for key, each in versions.items()}


async def ledger_of(db: Db, customer_id: str) -> Ledger:
    """What the ledger holds of a customer; the tie-break is the hash of a row's content."""
    rows = await db.fetch(
        "SELECT d.id, s.slot, s.rev, s.tie FROM sample s JOIN device d USING (device_no)"
        " JOIN customer c ON c.customer_no = s.customer_no WHERE c.id = $1",
        customer_id,
    )
    return {(row["id"], row["slot"]): (row["rev"], row["tie"]) for row in rows}


def order_of(rows: list[Sent], rng: random.Random) -> Order:
    """All rows shuffled, some more than once, in posts of any size."""
    every = [*rows, *rng.sample(rows, len(rows) // 10)]
    rng.shuffle(every)
    posts = []
    for device in range(DEVICES):
        mine = [sent.row for sent in every if sent.device == device]
        while mine:
            size = rng.choice((1, 3, 40, 200, 700))
            posts.append((device, mine[:size], rng.random() < 0.1))
            mine = mine[size:]
    rng.shuffle(posts)
    return Order(posts)


async def post_all(admin: Client, devices: list[NewDevice], order: Order) -> None:
    """Posts an order, a few posts at a time; at its end both devices are complete."""
    room = asyncio.Semaphore(IN_FLIGHT)
    phones = [admin.as_who(device.key) for device in devices]
    now = datetime.now(UTC).isoformat()

    async def post(device: int, rows: list[dict[str, Any]], is_complete: bool) -> None:
        envelope = {"device_id": devices[device].id, "sent_at": now, "samples": rows}
        if is_complete:
            envelope["complete_through"] = _monday().isoformat()
        async with room:
            await phones[device].post_samples(envelope, patience_s=60)

    await asyncio.gather(*(post(*each) for each in order.posts))
    await asyncio.gather(*(post(device, [], True) for device in range(DEVICES)))


def _monday() -> datetime:
    """Monday 00:00 UTC of this week: all weeks before have ended, in Berlin too."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday())
