"""A batch crosses the topic unchanged; anything else is refused, never a crash."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import events
from fitstream.errors import Rejected
from fitstream.events import SampleBatch, SampleColumns
from fitstream.merge import METRICS, NAMES, NOTHING, make_row
from tests.factories import SLOT, sample_batch, values

Built = dict[str, Any]


@st.composite
def columns(draw: st.DrawFn) -> SampleColumns:
    count = draw(st.integers(0, 5))

    def lists(each: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(each, min_size=count, max_size=count)

    measured = st.none() | lists(st.none() | st.integers(0, 200_000))
    fields: Built = {name: draw(measured) for name in NAMES}
    return SampleColumns(
        slot=draw(lists(st.integers(0, 2_000_000))),
        tz_offset_min=draw(st.integers(-840, 840) | lists(st.integers(-840, 840))),
        rev=draw(st.integers(0, 2**31 - 1) | lists(st.integers(0, 2**31 - 1))),
        deleted=draw(st.lists(st.integers(0, max(count - 1, 0)), max_size=count)),
        **fields,
    )


@given(columns())
def test_a_batch_is_read_as_it_was_written(sent: SampleColumns) -> None:
    batch = sample_batch(columns=sent, complete_through=SLOT, rejects=[(SLOT, "future_slot")])
    assert events.decode(events.encode(batch)) == batch


@given(columns())
def test_columns_that_are_encoded_already_give_the_same_bytes(sent: SampleColumns) -> None:
    batch = sample_batch(columns=sent, app_version="1.0", sent_at=5)
    envelope = {
        name: getattr(batch, name) for name in SampleBatch.__struct_fields__ if name != "columns"
    }
    encoded = events.encode_columns(sent)
    assert events.encode_with(encoded, **envelope) == events.encode(batch)


@given(columns())
def test_every_row_has_its_own_slot_and_version(sent: SampleColumns) -> None:
    rows = list(events.rows(sent))
    assert [slot for slot, _ in rows] == sent.slot
    for index, (_, row) in enumerate(rows):
        assert row.deleted == (index in sent.deleted)
        for name, value in zip(NAMES, row.values, strict=True):
            column = getattr(sent, name)
            assert value == (None if column is None or row.deleted else column[index])


def test_a_number_instead_of_a_column_counts_for_every_row() -> None:
    sent = SampleColumns(slot=[1, 2], tz_offset_min=60, rev=3, deleted=[1], steps=[4, 5])
    assert list(events.rows(sent)) == [
        (1, make_row(values(steps=4), 60, 3, False)),
        (2, make_row(NOTHING, 60, 3, True)),
    ]


@pytest.mark.parametrize(
    "columns_",
    [
        SampleColumns(slot=[1, 2], steps=[1]),
        SampleColumns(slot=[1], floors=[1, 2]),
        SampleColumns(slot=[1, 2], rev=[1]),
        SampleColumns(slot=[1], tz_offset_min=[]),
        SampleColumns(slot=[], steps=[1]),
    ],
)
def test_columns_of_different_length_are_refused(columns_: SampleColumns) -> None:
    with pytest.raises(Rejected) as error:
        events.decode(events.encode(sample_batch(columns=columns_)))
    assert error.value.code == "undecodable"


def as_map(**fields: Any) -> bytes:
    found: Built = msgspec.msgpack.decode(events.encode(sample_batch()))
    return msgspec.msgpack.encode(found | fields)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"not msgpack",
        events.encode(sample_batch())[:-3],
        events.encode(sample_batch()) + b"\x00",
        msgspec.msgpack.encode([1, 2, 3]),
        as_map(type="sample_batch.v9"),
        as_map(type=None),
        as_map(batch_id=None),
        as_map(columns={"slot": ["a"]}),
        as_map(columns={"slot": [1], "steps": [1.5]}),
        b"\x81\xa4type\xaf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        as_map(batch_id="X" * 10).replace(b"XXXXXXXXXX", b"\xff" * 10),
        as_map(more=1).replace(b"\xa4more\x01", b"\xa4more" + b"\x91" * 5000 + b"\x01"),
    ],
)
def test_a_record_that_is_no_batch_is_refused(value: bytes) -> None:
    with pytest.raises(Rejected) as error:
        events.decode(value)
    assert error.value.code == "undecodable"


@given(st.binary(max_size=64))
def test_noise_never_crashes_the_decoder(value: bytes) -> None:
    with pytest.raises(Rejected):
        events.decode(value)


def test_a_reader_ignores_fields_that_a_later_writer_adds() -> None:
    assert events.decode(as_map(more={"deep": [1]})) == sample_batch()


def test_a_published_version_keeps_its_bytes() -> None:
    batch = sample_batch(columns=SampleColumns(slot=[1], steps=[2]), received_at=3)
    assert msgspec.msgpack.decode(events.encode(batch)) == {
        "type": "sample_batch.v1",
        "batch_id": "batch-1",
        "customer_id": "cus_1",
        "device_id": "dev_1",
        "received_at": 3,
        "columns": {"slot": [1], "steps": [2]},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"columns": SampleColumns(slot=[2**31])},
        {"columns": SampleColumns(slot=[-(2**40)])},
        {"columns": SampleColumns(slot=[1, 2], steps=[None, 2**15])},
        {"columns": SampleColumns(slot=[1], distance_m=[-(2**31)])},
        {"columns": SampleColumns(slot=[1], rev=-1)},
        {"columns": SampleColumns(slot=[1], tz_offset_min=[40_000])},
        {"columns": SampleColumns(slot=[1], deleted=[1])},
        {"received_at": 2**62},
        {"sent_at": -(2**62)},
        {"complete_through": 2**50},
        {"rejects": [(2**50, "too_old")]},
        {"app_version": "1.0\0"},
        {"rejects": [(None, "\ud800")]},
    ],
)
def test_a_value_that_no_table_can_hold_is_named(fields: dict[str, Any]) -> None:
    assert events.misfit(sample_batch(**fields))


def test_the_largest_and_smallest_values_of_the_contract_fit() -> None:
    ends = {m.name: [m.low * m.scale, m.high * m.scale, None] for m in METRICS}
    sent = SampleColumns(slot=[SLOT] * 3, tz_offset_min=[-840, 840, 0], rev=2**31 - 1, **ends)
    assert events.misfit(sample_batch(columns=sent, complete_through=SLOT)) == ""
