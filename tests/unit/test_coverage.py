"""How far a replay may let the ledger go on: never past an offset that was not seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.errors import Rejected
from fitstream.operations.coverage import Coverage, slot_or_date
from fitstream.operations.run_replay import order_of


def test_offsets_in_a_row_count_and_repeats_do_not() -> None:
    seen = Coverage(0)
    for offset in (0, 1, 0, 1, 2):
        assert seen.missing_before(offset) is None
        seen.see(offset)
    assert seen.end == 3


def test_nothing_behind_a_hole_counts() -> None:
    seen = Coverage(0)
    seen.see(0)
    assert seen.missing_before(3) == (1, 3)
    seen.break_at((1, 3))
    for offset in (3, 4, 1):
        assert seen.missing_before(offset) is None
        seen.see(offset)
    assert (seen.end, seen.hole) == (1, (1, 3))


def test_a_hole_that_is_accounted_for_is_bridged() -> None:
    seen = Coverage(5)
    seen.bridge(8)
    assert seen.end == 8
    seen.see(8)
    assert seen.end == 9


@given(st.integers(0, 9), st.lists(st.integers(0, 30)))
def test_every_offset_up_to_the_end_was_seen(begin: int, offsets: list[int]) -> None:
    seen = Coverage(begin)
    for offset in offsets:
        missing = seen.missing_before(offset)
        if missing is not None:
            seen.break_at(missing)
        seen.see(offset)
    assert set(range(begin, seen.end)) <= set(offsets)


@pytest.mark.parametrize(
    ("text", "slot"),
    [("1854000", 1854000), ("1970-01-02", 96), ("1970-01-01T01:00:00Z", 4)],
)
def test_a_slot_is_a_number_a_day_or_a_time(text: str, slot: int) -> None:
    assert slot_or_date(text, "--from") == slot


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11-23T10:00:00", "-5"])
def test_anything_else_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(Rejected, match="--from"):
        slot_or_date(text, "--from")


def test_only_a_replay_of_everything_may_move_progress_or_be_resumed() -> None:
    assert order_of(None, None, None, True).is_whole
    assert not order_of("cus_1", None, None, False).is_whole
    assert not order_of(None, "2026-11-01", None, False).is_whole
    for asked in (("cus_1", None, None, True), (None, "2026-11-02", "2026-11-01", False)):
        with pytest.raises(Rejected):
            order_of(*asked)
