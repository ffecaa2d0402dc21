"""An import against a remembered API: who is enrolled, what is posted, what a repeat changes."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fitstream.client.data import Customer, Device, Items, NewDevice, Receipt, RejectedRow
from fitstream.errors import Conflict, Rejected, Unavailable
from fitstream.simulate.acknowledged import Acknowledged
from fitstream.simulate.delivery import Delivery, NotDelivered, Totals
from fitstream.simulate.enrol import Wanted, enrol
from fitstream.simulate.importing import Importer, ImportPlan
from fitstream.simulate.wearers_file import WearersFile, read_wearers

LONG_AGO = datetime(2016, 4, 13)  # noqa: DTZ001  local wall time, as in the file


class FakeApi:
    """The calls that enrolment and posts need; `fail` and `refuse` decide about posts."""

    def __init__(self) -> None:
        self.people: dict[str, Customer] = {}
        self.devices_of: dict[str, list[Device]] = {}
        self.posts: list[dict[str, Any]] = []
        self.keys = 0
        self.away: list[Exception] = []
        self.fail: dict[str, Exception] = {}
        self.refuse: set[str] = set()
        self.is_stuck = False

    async def create_customer(self, zone: str, **fields: Any) -> Customer:
        if self.away:
            raise self.away.pop()
        for there in self.people.values():
            same = there.external_id == fields["external_id"]
            if same or (there.email and there.email == fields.get("email")):
                raise Conflict("exists", "exists", there.id)
        made = Customer(id=f"cus_{len(self.people)}", zone=zone, created_at=_now(), **fields)
        self.people[made.id] = made
        return made

    async def customer(self, customer_id: str) -> Customer:
        return self.people[customer_id]

    async def change_customer(self, customer_id: str, **fields: Any) -> Customer:
        there = self.people[customer_id]
        consents = there.consents | fields["consents"]
        values = {n: getattr(there, n) for n in there.__struct_fields__} | {"consents": consents}
        self.people[customer_id] = Customer(**values)
        return self.people[customer_id]

    async def customers(self, search: str = "") -> Items[Customer]:
        found = [c for c in self.people.values() if (c.external_id or "").startswith(search)]
        return Items(found)

    async def devices(self, customer_id: str) -> list[Device]:
        return self.devices_of.get(customer_id, [])

    async def create_device(self, customer_id: str, kind: str, name: str) -> NewDevice:
        known = self.devices_of.setdefault(customer_id, [])
        device_id = f"dev_{customer_id}_{len(known)}"
        known.append(Device(id=device_id, kind=kind, name=name, priority=10, created_at=_now()))
        return await self.renew_key(customer_id, known[-1])

    async def renew_key(self, _: str, device: Device) -> NewDevice:
        self.keys += 1
        values = {name: getattr(device, name) for name in device.__struct_fields__}
        return NewDevice(**values, key=f"key-{self.keys}")

    def as_who(self, _: str) -> "FakeApi":
        return self

    async def post_samples(
        self, post: Mapping[str, Any], *, patience_s: float | None = None
    ) -> Receipt:
        assert patience_s is not None
        assert patience_s >= 120
        if self.is_stuck:
            await asyncio.sleep(60)
        customer_id = next(c for c, ds in self.devices_of.items() if _has(ds, post["device_id"]))
        name = str(self.people[customer_id].external_id)
        if name in self.fail:
            raise self.fail[name]
        self.posts.append(dict(post))
        rejected = [
            RejectedRow(index, "out_of_range", "no")
            for index, row in enumerate(post["samples"])
            if row["slot"] in self.refuse
        ]
        return Receipt(
            batch_id="b", device_id=post["device_id"], generation=1, partition=0, offset=0,
            accepted=len(post["samples"]) - len(rejected), content_sha="", rejected=rejected,
            server_time=_now(), next_post_at=_now(),
        )  # fmt: skip

    def slots(self) -> list[str]:
        return [row["slot"] for post in self.posts for row in post["samples"]]


def _now() -> datetime:
    return datetime.now(UTC)


def _has(devices: list[Device], device_id: str) -> bool:
    return any(device.id == device_id for device in devices)


@pytest.fixture
def file(tmp_path: Path) -> WearersFile:
    """Two wearers, two days each."""
    slots = [LONG_AGO + timedelta(minutes=15 * i) for i in range(192)]
    path = tmp_path / "two.parquet"
    table = {"wearer": [1] * 192 + [2] * 192, "slot_local": slots * 2, "steps": [5.0] * 384}
    pq.write_table(pa.table(table), path)
    return read_wearers(path)


def importer(api: FakeApi, file: WearersFile, **plan: Any) -> Importer:
    """An import of the file through the fake."""
    return Importer(api, ImportPlan(Path("two.parquet"), **plan), file)  # type: ignore[arg-type]


async def run(api: FakeApi, file: WearersFile, **plan: Any) -> Importer:
    made = importer(api, file, **plan)
    assert await made.run(asyncio.Event())
    return made


async def test_each_wearer_becomes_a_customer_with_a_watch_and_posts_a_day_at_a_time(
    file: WearersFile,
) -> None:
    api = FakeApi()
    done = await run(api, file)
    assert sorted(str(c.external_id) for c in api.people.values()) == ["wearer-1", "wearer-2"]
    assert [d.kind for ds in api.devices_of.values() for d in ds] == ["watch", "watch"]
    assert [len(post["samples"]) for post in api.posts] == [96] * 4
    assert (done.totals.rows, done.totals.accepted, done.totals.undelivered) == (384, 384, 0)


async def test_no_post_claims_to_be_complete_beyond_now(file: WearersFile) -> None:
    api = FakeApi()
    await run(api, file)
    for post in api.posts:
        assert post["complete_through"] <= post["sent_at"]
        assert post["complete_through"] > post["samples"][-1]["slot"]


async def test_a_repeat_makes_nobody_new_and_posts_the_same_slots(file: WearersFile) -> None:
    api = FakeApi()
    first = await run(api, file)
    slots, api.posts = api.slots(), []
    second = await run(api, file)
    assert sorted(api.slots()) == sorted(slots)
    assert (len(api.people), sum(map(len, api.devices_of.values()))) == (2, 2)
    assert all(who.is_new for who in first.enrolled.values())
    assert not any(who.is_new for who in second.enrolled.values())


async def test_auto_keeps_the_shift_of_the_first_time(file: WearersFile) -> None:
    api = FakeApi()
    await run(api, file, shift_weeks=540)
    assert (await run(api, file)).shift_weeks == 540


async def test_another_shift_is_another_device(file: WearersFile) -> None:
    api = FakeApi()
    await run(api, file, shift_weeks=540)
    await run(api, file, shift_weeks=541)
    assert [len(devices) for devices in api.devices_of.values()] == [2, 2]


async def test_rejected_rows_are_counted_by_code_and_not_remembered(file: WearersFile) -> None:
    api, kept = FakeApi(), Acknowledged()
    api.refuse = {"2016-04-13T04:00:00Z"}
    plan = ImportPlan(Path("two.parquet"), shift_weeks=0)
    done = Importer(api, plan, file, remember=kept.note)  # type: ignore[arg-type]
    assert await done.run(asyncio.Event())
    assert done.totals.rejected == {"out_of_range": 2}
    assert (done.totals.accepted, done.totals.undelivered, kept.count) == (382, 0, 382)


async def test_a_wearer_who_cannot_post_stops_no_other(file: WearersFile) -> None:
    api = FakeApi()
    api.fail = {"wearer-1": Rejected("unauthorized", "deactivated", 401)}
    done = await run(api, file)
    assert set(done.failures) == {"1"}
    assert "deactivated" in done.failures["1"]
    assert (done.totals.accepted, done.totals.undelivered) == (192, 192)
    assert done.totals.reasons == {"unauthorized": 96}


async def test_a_stop_ends_an_import_in_mid_post(file: WearersFile) -> None:
    api, stop = FakeApi(), asyncio.Event()
    api.is_stuck = True
    done = importer(api, file)
    task = asyncio.create_task(done.run(stop))
    await asyncio.sleep(0.05)
    stop.set()
    assert await asyncio.wait_for(task, 2) is False
    assert done.totals.undelivered == 384


async def test_a_stop_ends_an_import_that_still_waits_for_the_api(file: WearersFile) -> None:
    class Away(FakeApi):
        async def customers(self, search: str = "") -> Items[Customer]:
            raise Unavailable("the API")

    done, stop = importer(Away(), file), asyncio.Event()
    task = asyncio.create_task(done.run(stop))
    await asyncio.sleep(0)
    stop.set()
    assert await asyncio.wait_for(task, 2) is False


async def test_nobody_posts_on_behind_an_import_that_a_bug_has_ended(file: WearersFile) -> None:
    class Broken(FakeApi):
        async def create_customer(self, zone: str, **fields: Any) -> Customer:
            if fields["external_id"] == "wearer-1":
                raise ZeroDivisionError
            return await super().create_customer(zone, **fields)

    api, before = Broken(), asyncio.all_tasks()
    api.is_stuck = True
    with pytest.raises(ZeroDivisionError):
        await importer(api, file).run(asyncio.Event())
    assert asyncio.all_tasks() == before


async def test_speed_spreads_the_days(file: WearersFile) -> None:
    api = FakeApi()
    done = importer(api, file, speed=86_400 * 5)
    assert await done.run(asyncio.Event())
    assert 0.35 <= done.seconds < 3  # two days, each a fifth of a second


async def test_texts_name_the_wearer_and_consents_are_given_once(file: WearersFile) -> None:
    api = FakeApi()
    await run(api, file)
    fields = {"consents": {"training": True}}
    await run(api, file, fields=fields)
    assert all(c.consents == {"training": True} for c in api.people.values())


async def test_enrolment_waits_out_an_outage_and_an_unknown_outcome() -> None:
    api = FakeApi()
    wanted = Wanted("wearer-1", "few +1 weeks", "Etc/GMT+4")
    made = await enrol(api, wanted)  # type: ignore[arg-type]
    api.away = [Unavailable("the API", retry_after_s=0.0)]
    again = await enrol(api, wanted)  # type: ignore[arg-type]
    assert (again.customer_id, again.device_id) == (made.customer_id, made.device_id)


async def test_an_e_mail_of_another_customer_is_never_taken_over() -> None:
    api = FakeApi()
    await api.create_customer("UTC", external_id="somebody", email="a@example.invalid")
    wanted = Wanted("wearer-1", "d", "UTC", fields={"email": "a@example.invalid"})
    with pytest.raises(Conflict):
        await enrol(api, wanted)  # type: ignore[arg-type]


async def test_a_post_that_found_no_gateway_is_not_delivered() -> None:
    class Away:
        async def post_samples(self, *_: object, **__: object) -> None:
            raise Unavailable("the API")

    delivery = Delivery(Totals())
    with pytest.raises(NotDelivered):
        await delivery.post(Away(), "cus_1", {"device_id": "d", "samples": [{}, {}]})
    assert (delivery.totals.undelivered, delivery.totals.reasons) == (2, {"unavailable": 2})
