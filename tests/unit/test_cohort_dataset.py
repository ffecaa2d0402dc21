"""The dataset of a cohort: weeks are fetched side by side, in their order, with progress."""

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from fitstream.clock import slot_of
from fitstream.errors import Rejected, Unavailable
from fitstream.tasks import dataset
from fitstream.weekfile import encode_week, week_content
from tests.factories import NOW, ledger_row, pinned_week
from tests.fakes.store import FakeStore

START = slot_of(NOW) // 96 * 96


class SlowStore(FakeStore):
    """Answers after a moment, and counts how many wait at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0

    async def get(self, key: str) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.001)
        finally:  # also when it is cancelled
            self.now -= 1
        return await super().get(key)


def weeks_of(store: FakeStore, count: int) -> list[Any]:
    made = []
    for number in range(count):
        rows = [ledger_row(START + 1, steps=number)]
        content = week_content(f"cus_{number}", ("2026-W48", START, START + 672), "UTC", rows)
        key = f"users/cus_{number}/week.parquet"
        body = store.objects[key] = encode_week(content)
        file = {"kind": "week", "key": key, "sha256": sha256(body).hexdigest()}
        made.append(pinned_week(customer_id=f"cus_{number}", files=[file]))
    return made


async def test_weeks_are_read_side_by_side_and_keep_their_order() -> None:
    store, told = SlowStore(), list[int]()
    weeks = weeks_of(store, 40)
    tables = await dataset.read_weeks(store, weeks, told.append)
    assert [table.column("customer_id")[0].as_py() for table in tables] == [
        week.customer_id for week in weeks
    ]
    assert 1 < store.most <= 16
    assert told[-1] == 40
    assert told == sorted(told)


async def test_one_week_that_cannot_be_read_ends_it_and_leaves_nothing_running() -> None:
    store = SlowStore()
    weeks = weeks_of(store, 40)
    store.failing = True
    with pytest.raises(Unavailable):
        await dataset.read_weeks(store, weeks, lambda _: None)
    assert store.now == 0


async def test_a_week_that_is_not_what_its_version_says_is_not_learned_from() -> None:
    store = FakeStore()
    weeks = weeks_of(store, 3)
    keys = sorted(store.objects)
    store.objects[keys[1]] = store.objects[keys[2]]  # whole, but another week's
    with pytest.raises(Rejected, match="cus_1/week.parquet is damaged; `fitstream verify"):
        await dataset.read_weeks(store, weeks, lambda _: None)


@pytest.mark.parametrize("left", [b"{", b"[]", b"\xff"])
async def test_a_damaged_manifest_is_told_with_what_to_do(left: bytes) -> None:
    store = FakeStore()
    store.objects["datasets/1/abc/manifest.json"] = left
    with pytest.raises(Rejected, match="start a run on the weeks of today") as refused:
        await dataset.read_dataset(store, 1, "abc")
    assert refused.value.code == "dataset_differs"
