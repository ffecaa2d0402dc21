"""A week as bytes: the hash is of its content, and the file gives back what it was made of."""

import io
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import clock
from fitstream.clock import FIRST_WEEK, ZoneSpan
from fitstream.combined import LedgerRow
from fitstream.merge import METRICS, NAMES
from fitstream.weekchanges import WHY, changes, ledger_entries
from fitstream.weekfile import (
    WeekContent,
    content_sha,
    decode_originals,
    decode_week,
    encode_originals,
    encode_week,
    is_sound,
    measured,
    needs_originals,
    short_sha,
    week_content,
)
from tests.factories import blank_row, ledger_row

ZONE = "Europe/Berlin"


def bounds(week: str = "2026-W47", zone: str = ZONE) -> tuple[str, int, int]:
    found = clock.bounds(clock.week_index(week), (ZoneSpan(FIRST_WEEK, zone),))
    return (found.name, found.start_slot, found.end_slot)


START = bounds()[1]
PUBLISHED = "861dca2f065fb9e4eb3bf250f514f33a1319c0b4582840bda69ae26b7cabd5a2"


def content(*rows: LedgerRow, **fields: Any) -> WeekContent:
    made = week_content("cus_1", fields.pop("bounds", bounds()), fields.pop("zone", ZONE), rows)
    return made._replace(**fields)


_metrics = st.fixed_dictionaries(
    {}, optional={m.name: st.integers(m.low * m.scale, m.high * m.scale) for m in METRICS}
)


@st.composite
def weeks(draw: st.DrawFn) -> list[LedgerRow]:
    """Rows of up to two devices, by slot and best device first, tombstones among them."""
    keys = draw(st.sets(st.tuples(st.integers(0, 671), st.integers(1, 2)), max_size=6))
    rows = []
    for offset, device in sorted(keys):
        measured_ = draw(_metrics)
        made = (START + offset, device, device)
        deleted = draw(st.booleans())
        rows.append(
            ledger_row(*made, deleted=deleted, **measured_) if measured_ else blank_row(*made)
        )
    return rows


@given(weeks(), st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_the_order_of_rows(rows: list[LedgerRow], rng: Random) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert content_sha(content(*shuffled)) == content_sha(content(*rows))


def test_the_hash_changes_with_everything_that_makes_a_version() -> None:
    base = [ledger_row(START, 1, 1, steps=5), ledger_row(START, 2, 2, steps=7)]
    variants = [
        content(*base),
        content(*base[:1]),
        content(base[0], ledger_row(START, 2, 2, steps=8)),
        content(base[0], ledger_row(START, 2, 2, rev=1, steps=7)),
        content(base[0], ledger_row(START, 2, 2, deleted=True)),
        content(base[0], ledger_row(START, 2, 3, steps=7)),
        content(base[0], ledger_row(START + 1, 2, 2, steps=7)),
        content(base[0], ledger_row(START, 3, 2, steps=7)),
        content(*base, bounds=bounds("2026-W46")),
        content(*base, zone="UTC"),
        content(ledger_row(START, 1, 1, floors=5), base[1]),
    ]
    assert len({content_sha(each) for each in variants}) == len(variants)


def test_the_hash_does_not_depend_on_when_or_from_where_a_row_came() -> None:
    rows = [ledger_row(START)]
    moved = [msgspec.structs.replace(row, src=99, received_s=1) for row in rows]
    assert content_sha(content(*moved)) == content_sha(content(*rows))


def test_the_hash_of_an_empty_week_is_that_of_its_bounds() -> None:
    assert content_sha(content()) == content_sha(content())
    assert content_sha(content()) != content_sha(content(bounds=bounds("2026-W46")))


def test_the_canonical_form_stays_as_it_was_published() -> None:
    assert content_sha(content(ledger_row(START, 1, 1, rev=2, steps=5))) == PUBLISHED


@given(weeks())
def test_a_week_file_gives_back_the_slots_it_was_made_of(rows: list[LedgerRow]) -> None:
    made = content(*rows)
    decoded = decode_week(encode_week(made))
    assert [(entry["slot"], tuple(entry["values"])) for entry in decoded] == [
        (slot.slot, slot.values) for slot in made.slots
    ]


def test_every_value_of_the_contract_survives_the_file_exactly() -> None:
    for metric in METRICS:
        span = range(metric.low * metric.scale, metric.high * metric.scale + 1)
        kept = sorted({*span[:100], *span[-100:], *span[:: max(1, len(span) // 400)]})[:672]
        rows = [ledger_row(START + i, **{metric.name: value}) for i, value in enumerate(kept)]
        index = NAMES.index(metric.name)
        assert [row["values"][index] for row in decode_week(encode_week(content(*rows)))] == kept


@pytest.mark.parametrize(
    ("week", "slots"), [("2026-W47", 672), ("2026-W13", 668), ("2026-W43", 676)]
)
def test_a_week_file_has_a_row_for_every_slot_of_the_week(week: str, slots: int) -> None:
    made = content(bounds=bounds(week))
    table = pq.read_table(io.BytesIO(encode_week(made)))
    assert table.num_rows == slots
    numbers = table.column("slot").to_pylist()
    assert numbers == list(range(made.start_slot, made.end_slot))
    assert set(table.column("state").to_pylist()) == {"not_sent"}
    starts = table.column("start").to_pylist()
    local = table.column("local").to_pylist()
    assert [each.isoformat()[10:] for each in (local[0], local[-1])] == ["T00:00:00", "T23:45:00"]
    assert starts[0].astimezone(UTC) == clock.slot_start(made.start_slot)


def test_a_slot_says_whether_it_was_measured_not_worn_or_not_sent() -> None:
    rows = [ledger_row(START, steps=0), blank_row(START + 1), ledger_row(START + 2, deleted=True)]
    table = pq.read_table(io.BytesIO(encode_week(content(*rows))))
    assert table.column("state").to_pylist()[:4] == ["measured", "not_worn", "not_sent", "not_sent"]
    assert table.column("steps").to_pylist()[:2] == [0, None]
    assert measured(content(*rows)) == 1


def test_the_same_week_gives_the_same_bytes_in_one_row_group() -> None:
    made = content(ledger_row(START))
    body = encode_week(made)
    assert body == encode_week(made)
    assert short_sha(body) == short_sha(encode_week(made))
    assert len(short_sha(body)) == 12
    assert pq.ParquetFile(io.BytesIO(body)).num_row_groups == 1


def test_originals_are_kept_when_the_week_file_alone_would_lose_a_row() -> None:
    one = ledger_row(START, 1)
    assert not needs_originals(content())
    assert not needs_originals(content(one))
    assert not needs_originals(content(one, ledger_row(START + 1, 2)))
    assert not needs_originals(content(blank_row(START)))
    assert needs_originals(content(one, ledger_row(START, 2, 20)))
    assert needs_originals(content(one, ledger_row(START + 1, deleted=True)))


@given(weeks())
def test_originals_are_the_ledgers_rows(rows: list[LedgerRow]) -> None:
    found = pq.read_table(io.BytesIO(encode_originals(rows))).to_pylist()
    for row, original in zip(rows, found, strict=True):
        assert original["tie"] == row.tie
        assert original["deleted"] == row.row.deleted
        assert tuple(original[name] for name in NAMES) == row.row.values
        assert (original["slot"], original["device_id"]) == (row.slot, row.device_id)


@given(weeks())
def test_an_originals_file_gives_back_its_rows(rows: list[LedgerRow]) -> None:
    assert decode_originals(encode_originals(rows)) == ledger_entries(content(*rows))


def test_a_file_is_sound_when_it_has_the_bytes_that_its_entry_names() -> None:
    body = b"as written"
    full = {"key": "any", "sha256": sha256(body).hexdigest()}
    named = {"key": f"users/cus_1/weeks/2026-W47/manifest-v0001-{short_sha(body)}.json"}
    for entry in (full, named):
        assert is_sound(entry, body)
        assert not is_sound(entry, body + b" ")
        assert not is_sound(entry, b"")


def seen(*rows: LedgerRow) -> list[dict[str, Any]]:
    """What the week file of these rows tells."""
    return decode_week(encode_week(content(*rows)))


def test_changes_tell_added_removed_and_corrected_slots_in_runs() -> None:
    before = seen(*(ledger_row(START + offset, steps=1) for offset in (0, 1, 2, 5)))
    rows = [ledger_row(START + offset, steps=1) for offset in (0, 8, 9)]
    rows.insert(1, ledger_row(START + 1, steps=2))
    found = changes(before, content(*rows))
    assert (found["added"], found["removed"], found["corrected"]) == (2, 2, 1)
    assert {(run["change"], run["from"], run["to"]) for run in found["slots"]} == {
        ("added", at(8), at(10)),
        ("removed", at(2), at(3)),
        ("removed", at(5), at(6)),
        ("corrected", at(1), at(2)),
    }


def at(offset: int) -> datetime:
    return clock.slot_start(START + offset)


@given(weeks())
def test_a_week_does_not_differ_from_its_own_file(rows: list[LedgerRow]) -> None:
    made = content(*rows)
    same = {"added": 0, "removed": 0, "corrected": 0, "why": dict.fromkeys(WHY, 0), "slots": []}
    assert changes(decode_week(encode_week(made)), made, ledger_entries(made)) == same
    if not needs_originals(made):
        assert changes(decode_week(encode_week(made)), made) == same


def why(before: list[LedgerRow], after: list[LedgerRow]) -> tuple[dict[str, int], list[Any]]:
    """The reasons that are counted, and (change, why) of the runs."""
    rows = ledger_entries(content(*before))
    found = changes(seen(*before), content(*after), rows)
    runs = [(run["change"], run["why"]) for run in found["slots"]]
    return {name: count for name, count in found["why"].items() if count}, runs


WATCH, PHONE = ledger_row(START, 1, 10, steps=5), ledger_row(START, 2, 20, steps=7)


@pytest.mark.parametrize(
    ("before", "after", "counts", "runs"),
    [
        pytest.param([], [WATCH], {"late": 1}, [("added", "late")], id="late"),
        pytest.param(
            [PHONE], [WATCH, PHONE], {"late": 1}, [("corrected", "late")], id="a better device late"
        ),
        pytest.param([WATCH], [WATCH, PHONE], {"late": 1}, [], id="a worse device late"),
        pytest.param(
            [WATCH],
            [ledger_row(START, 1, 10, rev=1, steps=6)],
            {"corrected": 1},
            [("corrected", "corrected")],
            id="corrected",
        ),
        pytest.param(
            [WATCH],
            [ledger_row(START, 1, 10, rev=1, steps=5)],
            {"corrected": 1},
            [],
            id="said again with a higher rev",
        ),
        pytest.param(
            [WATCH],
            [ledger_row(START, 1, 10, rev=1, deleted=True)],
            {"deleted": 1},
            [("removed", "deleted")],
            id="deleted",
        ),
        pytest.param(
            [WATCH, PHONE],
            [ledger_row(START, 1, 10, rev=1, deleted=True), PHONE],
            {"deleted": 1},
            [("corrected", "deleted")],
            id="deleted, so that the other device shows",
        ),
        pytest.param(
            [ledger_row(START, 1, 10, deleted=True)],
            [ledger_row(START, 1, 10, rev=1, steps=5)],
            {"corrected": 1},
            [("added", "corrected")],
            id="a deletion taken back",
        ),
        pytest.param(
            [WATCH, PHONE],
            [ledger_row(START, 2, 5, steps=7), WATCH],
            {"device_priority": 1},
            [("corrected", "device_priority")],
            id="another device first",
        ),
        pytest.param([], [ledger_row(START, deleted=True)], {"deleted": 1}, [], id="tombstone"),
    ],
)
def test_changes_tell_why(
    before: list[LedgerRow], after: list[LedgerRow], counts: dict[str, int], runs: list[Any]
) -> None:
    assert why(before, after) == (counts, runs)


def test_reasons_are_told_without_originals_where_a_slot_had_one_row() -> None:
    found = changes(seen(WATCH), content(ledger_row(START, 1, 10, rev=1, steps=6)))
    assert found["why"]["corrected"] == 1


def test_the_first_version_has_no_changes() -> None:
    assert changes(None, content(ledger_row(START)))["added"] == 0


def test_a_list_of_changes_stays_short_and_its_counts_stay_whole() -> None:
    rows = [ledger_row(START + offset) for offset in range(0, 672, 2)]
    found = changes([], content(*rows))
    assert (found["added"], len(found["slots"])) == (336, 200)
