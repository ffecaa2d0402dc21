"""The merge rule: any order, any multiplicity, one result; devices become one wearer."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from fitstream.merge import (
    HEART,
    METRICS,
    MINUTES,
    NOTHING,
    SINGLES,
    Row,
    Values,
    combine_devices,
    is_conflict,
    make_row,
    merged,
    unscaled,
    wins,
)
from tests.factories import values, version

metric_values = st.tuples(
    *(
        st.none() | st.integers(metric.low * metric.scale, metric.high * metric.scale)
        for metric in METRICS
    )
)
versions = st.builds(
    make_row, metric_values, st.integers(-840, 840), st.integers(0, 3), st.booleans()
)


@given(st.lists(versions, min_size=1, max_size=4))
def test_order_of_arrival_does_not_matter(rows: list[Row]) -> None:
    assert {merged(order) for order in permutations(rows)} == {merged(rows)}


@given(versions, versions, versions)
def test_merging_in_steps_gives_what_merging_at_once_gives(a: Row, b: Row, c: Row) -> None:
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])]) == merged([a, b, c])


@given(st.lists(versions, min_size=1, max_size=5))
def test_repeats_change_nothing(rows: list[Row]) -> None:
    assert merged([*rows, *rows, merged(rows)]) == merged(rows)


@given(versions, versions)
def test_the_upsert_rule_and_the_merge_agree(current: Row, challenger: Row) -> None:
    assert merged([current, challenger]) == (challenger if wins(challenger, current) else current)


@given(versions)
def test_a_version_does_not_win_against_itself(row: Row) -> None:
    assert not wins(row, row)
    assert not is_conflict(row, row)


@given(versions)
def test_a_tie_fits_a_signed_eight_byte_column(row: Row) -> None:
    assert 0 <= row.tie < 2**63


def test_a_higher_revision_wins_although_it_measured_less() -> None:
    full, poor = version(rev=1, steps=10, floors=1, distance_m=5), version(rev=2, steps=9)
    assert merged([full, poor]) == poor


def test_the_more_complete_version_wins_at_equal_revision() -> None:
    poor, full = version(rev=1, steps=10), version(rev=1, steps=10, floors=0)
    assert merged([poor, full]) == full
    assert not is_conflict(poor, full)


@given(metric_values, st.integers(0, 3))
def test_a_tombstone_wins_against_any_version_of_its_revision(measured: Values, rev: int) -> None:
    tombstone = version(rev=rev, deleted=True)
    assert merged([make_row(measured, 0, rev, False), tombstone]) == tombstone
    assert tombstone.deleted


def test_a_tombstone_carries_no_metric_and_is_undone_by_a_higher_revision() -> None:
    tombstone = version(rev=1, deleted=True, steps=100)
    again = version(rev=2, steps=100)
    assert tombstone.values == NOTHING
    assert merged([tombstone, again]) == again
    assert not again.deleted


def test_a_row_without_any_metric_is_no_tombstone() -> None:
    assert not version().deleted


def test_other_content_at_equal_revision_and_count_is_a_conflict() -> None:
    assert is_conflict(version(steps=1), version(steps=2))
    assert is_conflict(version(steps=1), version(floors=1))
    assert is_conflict(version(steps=1), version(steps=1, tz_offset_min=60))
    assert not is_conflict(version(rev=1, steps=1), version(rev=2, steps=2))
    assert not is_conflict(version(steps=1), version(steps=1, floors=1))


def test_absent_and_zero_are_different_content() -> None:
    assert version(steps=0).tie != version().tie
    assert version(steps=0, floors=1).tie != version(floors=0, steps=1).tie


@given(st.lists(metric_values, min_size=1, max_size=4))
def test_every_combined_metric_comes_from_one_device_that_measured_it(rows: list[Values]) -> None:
    combined = combine_devices(rows)
    for index in SINGLES:
        measured = [row[index] for row in rows if row[index] is not None]
        assert combined[index] == (measured[0] if measured else None)
    for group in (HEART, MINUTES):
        found = tuple(combined[index] for index in group)
        offered = [tuple(row[index] for index in group) for row in rows]
        assert found in offered
        measured_any = [each for each in offered if any(v is not None for v in each)]
        assert found == (measured_any[0] if measured_any else found)


@given(st.lists(metric_values, min_size=1, max_size=4))
def test_nothing_is_added_up_when_a_device_is_counted_twice(rows: list[Values]) -> None:
    assert combine_devices([*rows, *rows]) == combine_devices(rows)


def test_heart_rates_are_never_mixed_from_two_devices() -> None:
    watch = values(heart_rate_bpm=700)
    strap = values(heart_rate_bpm=900, heart_rate_min_bpm=850, heart_rate_max_bpm=950)
    assert combine_devices([watch, strap]) == watch


def test_activity_minutes_come_from_the_best_device_that_measured_any_of_them() -> None:
    watch = values(steps=5, vigorous_min=10)
    phone = values(steps=9, light_min=150, sleep_min=20)
    assert combine_devices([watch, phone]) == values(steps=5, vigorous_min=10, sleep_min=20)


def test_no_device_measured_nothing() -> None:
    assert combine_devices([]) == NOTHING


@given(metric_values)
def test_units_lead_back_to_exactly_the_scaled_integers(measured: Values) -> None:
    named = unscaled(measured)
    assert values(**{
        metric.name: round(named[metric.name] * metric.scale)
        for metric in METRICS
        if metric.name in named
    }) == measured  # fmt: skip
