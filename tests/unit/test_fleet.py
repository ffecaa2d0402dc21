"""A fleet does as it is told: it waits, keeps, repeats and remembers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fitstream import posts, samples
from fitstream.client.data import DeviceSettings, Receipt, RejectedRow
from fitstream.clock import DAY_SLOTS, SLOT_S, slot_of
from fitstream.errors import Rejected, TooMany, Unavailable
from fitstream.merge import METRICS, Row, make_row, merged
from fitstream.samples import Checked, Decoded
from fitstream.simulate.device import Device, make_post
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.faults import Plan, Variant
from fitstream.simulate.fleet import Fleet, Order
from fitstream.simulate.run_simulate import table

START = datetime(2026, 11, 16, 10, 7, tzinfo=UTC).timestamp()
PRESENT = int(START // SLOT_S)
INTERVAL = timedelta(seconds=900)
PAUSED = timedelta(hours=1)


class Time:
    """Passes only when the fleet waits."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        for _ in range(6):
            await asyncio.sleep(0)
        if not changed.is_set():
            self.at += seconds


class FakeGateway:
    """Judges as the real one does and keeps a ledger; `trouble` may refuse a post first."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.ledger: dict[str, dict[int, Row]] = {}
        self.posts: list[tuple[float, str, Decoded, Checked]] = []
        self.trouble: list[Exception | None] = []
        self.arrives_all_the_same = False
        self.in_flight = self.most_in_flight = 0
        self.paused: Callable[[float], bool] = lambda now: False

    async def enrol(self, number: int, zone: str) -> Enrolled:
        return Enrolled(f"customer-{number}", f"device-{number}", f"key-{number}", True)

    async def post(self, key: str, body: bytes) -> Receipt:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        trouble = self.trouble.pop(0) if self.trouble else None
        if trouble and not self.arrives_all_the_same:
            raise trouble
        receipt = self._judge(body)
        if trouble:
            raise trouble
        return receipt

    def _judge(self, body: bytes) -> Receipt:
        now = datetime.fromtimestamp(self.time.now(), UTC)
        decoded = posts.decode_json(body, 2000)
        checked = samples.check(decoded, samples.window(now, 400))
        name = decoded.envelope.device_id
        self.posts.append((self.time.now(), name, decoded, checked))
        rejected = [RejectedRow(v.index, v.code, v.message, v.retry) for v in checked.rejected]
        if rejected and not checked.accepted:
            rows = [msgspec.to_builtins(row) for row in rejected]
            raise Rejected("nothing_acceptable", "none", 422, {"rejected": rows})
        self._write(name, checked)
        return Receipt(
            batch_id="b",
            device_id=name,
            generation=1,
            partition=0,
            offset=len(self.posts),
            accepted=checked.accepted,
            content_sha="",
            rejected=rejected,
            server_time=now,
            next_post_at=now + (PAUSED if self.paused(self.time.now()) else INTERVAL),
            settings=DeviceSettings(900, self.paused(self.time.now())),
        )

    def _write(self, name: str, checked: Checked) -> None:
        rows = self.ledger.setdefault(name, {})
        for slot, row in rows_of(checked):
            rows[slot] = merged([row, *([rows[slot]] if slot in rows else [])])


def rows_of(checked: Checked) -> list[tuple[int, Row]]:
    """Accepted rows of a post, in its order."""
    columns, found = checked.columns, []
    for i, slot in enumerate(columns.slot):
        values = tuple(
            None if (column := getattr(columns, m.name)) is None else column[i] for m in METRICS
        )
        offset = columns.tz_offset_min
        rev = columns.rev
        offset_min = offset if isinstance(offset, int) else offset[i]
        row_rev = rev if isinstance(rev, int) else rev[i]
        found.append((slot, make_row(values, offset_min, row_rev, i in columns.deleted)))
    return found


async def run(
    order: Order, trouble: list[Exception | None] | None = None, **more: Any
) -> tuple[Fleet, FakeGateway]:
    """A whole run in no time."""
    time = Time()
    gateway = FakeGateway(time)
    gateway.trouble = list(trouble or [])
    gateway.arrives_all_the_same = more.pop("arrives_all_the_same", False)
    fleet = Fleet(gateway, order, time, **more)
    await fleet.run(asyncio.Event())
    return fleet, gateway


def remembered(fleet: Fleet) -> dict[str, dict[int, Row]]:
    """What the fleet says was acknowledged."""
    return {d.enrolled.device_id: d.versions(fleet.plan(d)) for d in fleet.devices if d.enrolled}


async def test_history_goes_up_once_and_whole() -> None:
    fleet, gateway = await run(Order(devices=3, days=9))
    assert fleet.totals.finished == 3
    assert fleet.totals.accepted == 3 * 9 * DAY_SLOTS
    assert gateway.ledger == remembered(fleet)
    assert all(
        set(rows) == set(range(PRESENT - 9 * 96, PRESENT)) for rows in gateway.ledger.values()
    )
    assert gateway.time.at < START + 60  # a backlog does not wait for the next quarter hour


@pytest.mark.parametrize(("level", "speed"), [("none", 1), ("some", 1), ("many", 1), ("many", 600)])
async def test_what_is_remembered_is_what_a_ledger_holds(level: str, speed: float) -> None:
    order = Order(4, days=1, seed=5, faults=level, speed=speed)
    fleet, gateway = await run(order)
    assert fleet.totals.finished == 4
    assert fleet.totals.surprises == []
    assert gateway.ledger == remembered(fleet)
    assert fleet.totals.refused > 0 or level != "many"


async def test_live_posts_come_when_the_gateway_asks_for_them() -> None:
    fleet, gateway = await run(Order(2, live=True, for_s=3600))
    for name in gateway.ledger:
        times = [at for at, who, _, _ in gateway.posts if who == name]
        gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
        assert len(times) == 4
        assert all(900 <= gap < 901.5 for gap in gaps)
    assert fleet.totals.accepted == 2 * 3


async def test_time_that_passes_faster_shortens_the_interval_in_proportion() -> None:
    _, gateway = await run(Order(1, days=1, speed=900.0))
    times = [at for at, *_ in gateway.posts]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert len(times) >= 90
    assert min(gaps) >= 1


async def test_nobody_posts_before_retry_after_is_over() -> None:
    fleet, gateway = await run(Order(1, days=1), [TooMany(37.0), Unavailable("kafka", "", 21.0)])
    assert gateway.posts[0][0] >= START + 37 + 21
    assert (fleet.totals.slowed, fleet.totals.away) == (1, 1)
    assert fleet.totals.finished == 1


async def test_an_outage_loses_nothing_and_waits_longer_each_time() -> None:
    away: list[Exception | None] = [Unavailable("the API", "", 0.0)] * 14
    fleet, gateway = await run(Order(1, live=True, for_s=3600), [None, *away])
    assert gateway.ledger == remembered(fleet)
    slots = set(gateway.ledger["device-0"])
    assert slots == set(range(PRESENT, PRESENT + len(slots)))
    assert len(slots) >= 3
    assert fleet.totals.away == 14 or gateway.trouble  # back-off left some of it unused


async def test_a_post_that_arrived_without_its_answer_is_repeated_until_it_has_one() -> None:
    lost: list[Exception | None] = [Unavailable("kafka")] * 5
    order = Order(4, days=2, faults="many", seed=3)
    fleet, gateway = await run(order, lost, arrives_all_the_same=True)
    assert fleet.totals.away == 5
    assert all(device.doubt == 0 for device in fleet.devices)
    assert gateway.ledger == remembered(fleet)


async def test_what_stays_unknown_at_the_end_is_said_to_be_in_doubt() -> None:
    lost: list[Exception | None] = [Unavailable("kafka", "", 50.0)] * 50
    fleet, gateway = await run(Order(1, days=1, for_s=5), lost, arrives_all_the_same=True)
    device = fleet.devices[0]
    assert device.doubt > device.cursor
    assert remembered(fleet) == {"device-0": {}}
    assert set(gateway.ledger["device-0"]) <= device.doubtful(fleet.plan(device))


async def test_a_device_that_may_not_post_any_more_stops() -> None:
    fleet, gateway = await run(Order(1, live=True, for_s=3600), [Rejected("forbidden", "no", 403)])
    assert fleet.totals.lost == 1
    assert gateway.posts == []


async def test_a_key_that_is_not_known_yet_is_tried_again() -> None:
    fleet, _ = await run(Order(1, days=1), [Rejected("unauthorised", "who?", 401)] * 3)
    assert (fleet.totals.lost, fleet.totals.finished) == (0, 1)


async def test_no_more_posts_are_in_flight_than_allowed() -> None:
    fleet, gateway = await run(Order(40, days=1), in_flight=7)
    assert gateway.most_in_flight == 7
    assert fleet.totals.finished == 40


async def test_a_bug_in_a_turn_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError):
        await run(Order(3, days=1), [ZeroDivisionError()])


async def test_clocks_ahead_are_told_so_and_send_those_rows_again_later() -> None:
    order = Order(12, live=True, faults="many", seed=2, for_s=4 * 3600)
    fleet, gateway = await run(order)
    skews = [fleet.plan(device).skew_s for device in fleet.devices]
    assert any(skew > 1200 for skew in skews)
    assert any(skew < -600 for skew in skews)
    codes = Counter(v.code for *_, checked in gateway.posts for v in checked.rejected)
    assert codes["future_slot"] > 0
    assert fleet.totals.surprises == []
    assert gateway.ledger == remembered(fleet)


def test_a_device_remembers_a_byte_a_slot() -> None:
    device = Device(0, PRESENT)
    for slot in range(PRESENT, PRESENT + 96):
        device.remember(slot, Variant.FULL)
    device.remember(PRESENT + 5, Variant.DELETED)
    found = dict(device.acknowledged())
    assert found[PRESENT + 5] == [Variant.FULL, Variant.DELETED]
    assert len(found) == 96
    plan = Plan(1, 0, "none")
    assert device.versions(plan)[PRESENT + 5].deleted
    assert device.versions(plan)[PRESENT] == plan.row(PRESENT, Variant.FULL)


def test_a_post_says_until_when_it_is_complete() -> None:
    device = Device(0, PRESENT - 1000)
    now = datetime.fromtimestamp(START, UTC)
    post = make_post(device, "d", Plan(1, 0, "none"), PRESENT, now)
    decoded = posts.decode_json(post.body, 2000)
    through = decoded.envelope.complete_through
    assert through is not None
    assert slot_of(through) == post.end == PRESENT - 1000 + len(decoded.rows)


async def test_a_device_that_is_paused_measures_nothing_and_goes_on_when_it_is_told() -> None:
    time = Time()
    gateway = FakeGateway(time)
    gateway.paused = lambda now: START + 3600 <= now < START + 4 * 3600
    fleet = Fleet(gateway, Order(1, days=1, live=True, for_s=7 * 3600), time)
    await fleet.run(asyncio.Event())
    slots = set(gateway.ledger["device-0"])
    assert set(range(PRESENT - DAY_SLOTS, PRESENT + 3)) <= slots  # what was measured before is sent
    times = [at for at, *_ in gateway.posts if START + 3600 < at < START + 4 * 3600]
    assert all(after - before >= 3600 for before, after in zip(times, times[1:], strict=False))
    (pause,) = fleet.devices[0].pauses
    assert pause.end is not None
    assert not slots & set(range(pause.start, pause.end))
    assert pause.end in slots
    assert gateway.ledger == remembered(fleet)
    assert fleet.totals.paused == 0


async def test_a_fleet_says_of_whom_it_made_new_keys() -> None:
    fleet, _ = await run(Order(2, days=1))
    assert "new keys" not in table(fleet)
    fleet.totals.renewed = 2
    assert "new keys             2" in table(fleet)
