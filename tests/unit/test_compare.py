"""The ledger against what was acknowledged: every kind of difference is found, and no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.merge import METRICS, merged, unscaled
from fitstream.simulate.acknowledged import Acknowledged, version_of
from fitstream.simulate.compare import Comparison, differences_of
from fitstream.simulate.enrol import Enrolled
from tests.factories import SLOT, slot_text, version

NEW = Enrolled("cus_1", "dev_1", "key", True)
KNOWN = NEW._replace(is_new=False)
ONE, OTHER = version(steps=1), version(steps=2)
LATER, GONE = version(rev=3, steps=9), version(rev=1, deleted=True)


def what(who: Enrolled, wanted: dict[int, Any], found: dict[int, Any]) -> list[str]:
    return [difference.what.split(" ")[0] for difference in differences_of(who, wanted, found)]


@pytest.mark.parametrize("who", [NEW, KNOWN])
def test_equal_rows_and_deleted_ones_do_not_differ(who: Enrolled) -> None:
    assert what(who, {1: ONE, 2: GONE}, {1: ONE}) == []


@pytest.mark.parametrize("who", [NEW, KNOWN])
def test_a_lost_row_is_found(who: Enrolled) -> None:
    assert what(who, {1: ONE, 2: ONE}, {2: ONE}) == ["is"]


def test_another_value_is_found() -> None:
    assert what(NEW, {1: ONE}, {1: OTHER}) == ["acknowledged"]


def test_a_version_that_loses_is_a_difference_on_a_known_device_too() -> None:
    assert what(KNOWN, {1: LATER}, {1: ONE}) == ["acknowledged"]


def test_a_row_that_was_never_acknowledged_is_found_on_a_new_device() -> None:
    assert what(NEW, {}, {1: ONE}) == ["was"]
    assert what(NEW, {1: GONE}, {1: ONE}) == ["was"]


def test_what_an_earlier_run_left_is_no_difference() -> None:
    assert what(KNOWN, {1: ONE}, {1: LATER, 2: ONE}) == []


def test_a_comparison_counts_all_and_shows_a_few() -> None:
    found = Comparison()
    found.add(5, differences_of(NEW, dict.fromkeys(range(100), ONE), {}))
    assert (found.slots, found.equal, found.differing, found.agrees) == (105, 5, 100, False)
    assert len(found.examples) == 20


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=8))
def test_what_is_remembered_is_the_merge_of_all_that_was_sent(sent: list[tuple[int, int]]) -> None:
    kept = Acknowledged()
    rows = [{"slot": slot_text(), "rev": rev, "steps": steps} for rev, steps in sent]
    for row in rows:
        kept.note("cus_1", "dev_1", [row])
    assert kept.of("cus_1", "dev_1") == {SLOT: merged(version_of(row)[1] for row in rows)}
    assert kept.count == 1


@given(st.data())
def test_a_row_means_the_same_sent_and_read_back(data: st.DataObject) -> None:
    values = tuple(
        data.draw(st.none() | st.integers(m.low * m.scale, m.high * m.scale)) for m in METRICS
    )
    slot, row = version_of({"slot": slot_text(), "tz_offset_min": 60, **unscaled(values)})
    assert (slot, row.values, row.tz_offset_min) == (SLOT, values, 60)
