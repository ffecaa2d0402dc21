"""A chunk in columns says what its rows say one by one: versions, ties, conflicts, weeks, bytes."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import events
from fitstream.clock import FIRST_WEEK, ZoneSpan, week_of
from fitstream.events import SampleBatch, SampleColumns
from fitstream.merge import METRICS, NAMES, Row, is_conflict, wins
from fitstream.repo.ledger import UNFIT
from fitstream.repo.staging import COLUMNS, Device, Stage, stage
from tests.factories import SLOT, sample_batch

GENERATION = 3
ABROAD = (ZoneSpan(FIRST_WEEK, "UTC"), ZoneSpan("2026-W48", "Asia/Tokyo"))
DEVICES = {
    "dev_a": Device(11, "cus_1", 1, (ZoneSpan(FIRST_WEEK, "UTC"),), is_upload=False),
    "dev_b": Device(7, "cus_1", 1, (ZoneSpan(FIRST_WEEK, "UTC"),), is_upload=False),
    "dev_c": Device(5, "cus_2", 2, ABROAD, is_upload=False),
}
Key = tuple[int, int, int]  # customer, slot, device
Fields = dict[str, int | None]
Chunk = list[tuple[int, SampleBatch]]


class Plain(NamedTuple):
    """A version of a sample as it stands in a batch."""

    row: Row
    src: int
    received_s: int


class RowByRow:
    """The same chunk, one row after the other."""

    def __init__(self, known: Chunk) -> None:
        self.kept: dict[Key, Plain] = {}
        self.conflicts: list[tuple[int, ...]] = []
        self.samples = 0
        for offset, batch in known:
            device = DEVICES[batch.device_id]
            for slot, row in events.rows(batch.columns):
                self.samples += 1
                new = Plain(row, GENERATION << 48 | offset, batch.received_at // 1000)
                self._take((device.customer_no, slot, device.device_no), new)

    def _take(self, key: Key, new: Plain) -> None:
        old = self.kept.setdefault(key, new)
        if is_conflict(old.row, new.row):
            ties = sorted((old.row.tie, new.row.tie), reverse=True)
            self.conflicts.append((*key, new.row.rev, *ties, new.src))
        if wins(new.row, old.row):
            self.kept[key] = new

    def table(self) -> list[Fields]:
        return [self._fields(key, self.kept[key]) for key in sorted(self.kept)]

    def _fields(self, key: Key, plain: Plain) -> Fields:
        row = plain.row
        return {
            **dict(zip(("customer_no", "slot", "device_no"), key, strict=True)),
            **dict(zip(NAMES, row.values, strict=True)),
            "tie": row.tie,
            "src": plain.src,
            "rev": row.rev,
            "received_s": plain.received_s,
            "tz_offset_min": row.tz_offset_min,
        }

    def keys(self) -> dict[tuple[int, str], int]:
        zones = {device.customer_no: device.zones for device in DEVICES.values()}
        found: dict[tuple[int, str], int] = {}
        for customer_no, slot, _ in self.kept:
            place = (customer_no, week_of(slot, zones[customer_no]).name)
            found[place] = found.get(place, 0) + 1
        return found


def read(copied: bytes) -> list[Fields]:
    """The rows of a binary COPY."""
    assert copied.startswith(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    at, rows = 19, []
    while (fields := struct.unpack_from(">h", copied, at)[0]) != -1:
        assert fields == len(COLUMNS)
        at += 2
        row: Fields = {}
        for name in COLUMNS:
            size = struct.unpack_from(">i", copied, at)[0]
            at += 4
            held = copied[at : at + max(size, 0)]
            row[name] = None if size == -1 else int.from_bytes(held, "big", signed=True)
            at += max(size, 0)
        rows.append(row)
    assert at + 2 == len(copied)
    return rows


def staged(known: Chunk) -> Stage:
    return stage(GENERATION, known, DEVICES)


@st.composite
def batches(draw: st.DrawFn) -> SampleBatch:
    count = draw(st.integers(0, 6))

    def lists(each: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(each, min_size=count, max_size=count)

    fields: dict[str, Any] = {}
    for metric in METRICS:
        low, high = metric.low * metric.scale, metric.high * metric.scale
        number = st.sampled_from((low, low + 1)) | st.integers(low, high)
        fields[metric.name] = draw(st.none() | lists(number) | lists(st.none() | number))
    columns = SampleColumns(
        # few slots, so that keys come again; around a Monday, so that weeks differ
        slot=draw(lists(st.integers(SLOT - 48, SLOT - 44) | st.integers(SLOT - 900, SLOT))),
        tz_offset_min=draw(st.integers(-840, 840) | lists(st.sampled_from((-840, 60)))),
        rev=draw(st.integers(0, 1) | lists(st.sampled_from((0, 1, 2**31 - 1)))),
        deleted=draw(st.lists(st.integers(-2, 7), max_size=2)),
        **fields,
    )
    device_id = draw(st.sampled_from(sorted(DEVICES)))
    received_at = draw(st.integers(0, 2**40))
    return sample_batch(device_id=device_id, received_at=received_at, columns=columns)


@given(st.lists(batches(), max_size=6))
def test_a_chunk_in_columns_is_the_chunk_row_by_row(sent: Sequence[SampleBatch]) -> None:
    known = list(enumerate(sent, 40))
    repeated = known + [(offset + 100, batch) for offset, batch in known[:2]]
    expected, found = RowByRow(repeated), staged(repeated)
    assert found.samples == expected.samples
    assert sorted(found.conflicts) == sorted(expected.conflicts)
    assert found.keys == expected.keys()
    assert found.weeks.keys() == found.keys.keys()
    if expected.samples:
        assert read(bytes(found.copied)) == expected.table()


def test_of_three_versions_each_pair_that_meets_is_noted_in_the_order_of_arrival() -> None:
    known = [
        (at, sample_batch(device_id="dev_a", columns=SampleColumns(slot=[SLOT], steps=[steps])))
        for at, steps in enumerate((1, 2, 3, 1))
    ]
    assert staged(known).conflicts == RowByRow(known).conflicts


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": [2**15]},
        {"steps": [-(2**15) - 1]},
        {"distance_m": [2**31]},
        {"calories_kcal": [2**64 - 1]},
        {"rev": 2**31},
        {"rev": [2**63]},
        {"tz_offset_min": 2**15},
        {"slot": [2**62]},
        {"slot": [2**31 - 1]},
    ],
)
def test_a_row_that_no_table_can_hold_is_refused(fields: dict[str, Any]) -> None:
    columns = SampleColumns(**({"slot": [SLOT]} | fields))
    with pytest.raises(UNFIT):
        staged([(0, sample_batch(device_id="dev_a", columns=columns))])


def test_the_largest_and_smallest_values_of_each_column_are_copied_as_they_are() -> None:
    columns = SampleColumns(
        slot=[SLOT, SLOT + 1], steps=[-(2**15), 2**15 - 1], distance_m=[-(2**31), 2**31 - 1]
    )
    known = [(2**48 - 1, sample_batch(device_id="dev_c", columns=columns))]
    assert read(bytes(staged(known).copied)) == RowByRow(known).table()
