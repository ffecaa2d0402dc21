"""Weeks touch and never overlap, whatever the zones; names, days, gaps and moves."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fitstream import clock
from fitstream.clock import FIRST_WEEK, ZoneSpan
from fitstream.errors import Rejected

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "America/Havana",
    "Africa/Casablanca",
)
FIRST, LAST = clock.week_index("2015-W01"), clock.week_index("2035-W52")
indexes = st.integers(FIRST, LAST)
instants = st.datetimes(datetime(2016, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def homes(draw: st.DrawFn) -> clock.Zones:
    """A customer's zones: one from the beginning and up to three moves."""
    first = draw(st.sampled_from(ZONES))
    moves = draw(st.lists(st.tuples(indexes, st.sampled_from(ZONES)), max_size=3))
    spans = [ZoneSpan(clock.week_name(index), zone) for index, zone in sorted(moves)]
    return (ZoneSpan(FIRST_WEEK, first), *spans)


def at_home(zone: str) -> clock.Zones:
    return (ZoneSpan(FIRST_WEEK, zone),)


@given(homes(), indexes)
def test_neighbouring_weeks_touch_and_none_is_empty(zones: clock.Zones, index: int) -> None:
    week, following = clock.bounds(index, zones), clock.bounds(index + 1, zones)
    assert week.start_slot < week.end_slot == following.start_slot


@given(homes(), indexes, st.integers(-300, 1000))
def test_every_slot_lies_in_exactly_one_week(zones: clock.Zones, index: int, by: int) -> None:
    slot = clock.boundary(index, zones) + by
    week = clock.week_of(slot, zones)
    assert week.start_slot <= slot < week.end_slot
    for other in (-1, 1):
        neighbour = clock.bounds(clock.week_index(week.name) + other, zones)
        assert not neighbour.start_slot <= slot < neighbour.end_slot


@given(indexes)
def test_a_weeks_name_leads_back_to_its_index(index: int) -> None:
    assert clock.week_index(clock.week_name(index)) == index


@pytest.mark.parametrize(
    ("week", "zone", "slots"),
    [
        ("2026-W47", "Europe/Berlin", 672),
        ("2026-W13", "Europe/Berlin", 668),
        ("2026-W43", "Europe/Berlin", 676),
        ("2026-W43", "UTC", 672),
        ("2026-W14", "Australia/Lord_Howe", 674),
    ],
)
def test_a_week_has_as_many_slots_as_its_clock_changes_leave(
    week: str, zone: str, slots: int
) -> None:
    found = clock.bounds(clock.week_index(week), at_home(zone))
    assert found.end_slot - found.start_slot == slots
    assert clock.local_time(found.start_slot, zone).isoformat()[10:] == "T00:00:00"


def test_a_week_in_utc_begins_on_its_monday() -> None:
    week = clock.bounds(clock.week_index("2026-W47"), at_home("UTC"))
    assert clock.slot_start(week.start_slot) == datetime(2026, 11, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        "", "2026", "2026-W4", "2026-W00", "2026-W54", "2025-W53", "2026-w47", "2026-W4 ",
        " 026-W47", "2026-W047", "2026W47", "٢٠٢٦-W47", "0000-W00", "0000-W01", "9999-W52",
        "2026-W47-1", "2026-W47\n", "x" * 100,
    ],
)  # fmt: skip
def test_anything_but_the_name_of_a_week_is_refused(name: str) -> None:
    with pytest.raises(Rejected) as error:
        clock.week_index(name)
    assert error.value.code == "bad_week"


@given(st.integers(0, 9999), st.integers(0, 60))
def test_a_name_that_is_accepted_is_the_weeks_only_name(year: int, week: int) -> None:
    name = f"{year:04d}-W{week:02d}"
    try:
        index = clock.week_index(name)
    except Rejected:
        return
    assert clock.week_name(index) == name
    assert clock.bounds(index, at_home("Pacific/Pago_Pago")).name == name


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia"])
def test_an_iana_zone_is_accepted(zone: str) -> None:
    assert clock.check_zone(zone) == zone


@pytest.mark.parametrize(
    "zone",
    [
        "", ".", "..", "/", "Europe", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "CE\0T",
        "tzdata.zi", "zone.tab", "leapseconds", "__init__.py", "é" * 10, "x" * 5000, "\ud800",
    ],
)  # fmt: skip
def test_anything_but_an_iana_zone_is_refused(zone: str) -> None:
    with pytest.raises(Rejected) as error:
        clock.check_zone(zone)
    assert error.value.code == "unknown_zone"


@given(homes(), instants, st.sampled_from(ZONES))
def test_a_move_changes_the_week_of_no_sample_that_may_have_been_accepted(
    zones: clock.Zones, now: datetime, zone: str
) -> None:
    zones = tuple(span for span in zones if clock.zone_for(span.from_week, zones) == span.zone)
    from_week = clock.week_after_move(now, zones, zone)
    kept = tuple(span for span in zones if span.from_week < from_week)
    moved = (*kept, ZoneSpan(from_week, zone))
    latest = clock.slot_of(now + timedelta(minutes=20))
    for slot in (latest, latest - 1, latest - 96, latest - 700):
        assert clock.week_of(slot, kept).name == clock.week_of(slot, moved).name


@given(instants, st.sampled_from(ZONES), st.sampled_from(ZONES))
@example(datetime(2026, 11, 22, 22, 59, 59, tzinfo=UTC), "UTC", "UTC")
@example(datetime(2026, 11, 22, 23, 0, tzinfo=UTC), "UTC", "UTC")
def test_a_new_zone_takes_force_at_the_first_monday_more_than_an_hour_ahead_in_both_zones(
    now: datetime, old: str, new: str
) -> None:
    def lies_ahead(index: int) -> bool:
        starts = (clock.boundary(index, at_home(zone)) for zone in (old, new))
        return all(clock.slot_start(start) > now + timedelta(hours=1) for start in starts)

    index = clock.week_index(clock.week_after_move(now, at_home(old), new))
    assert lies_ahead(index)
    assert not lies_ahead(index - 1)


@given(st.dates(date(2015, 1, 1), date(2035, 1, 1)), st.sampled_from(ZONES))
def test_local_days_touch_and_hold_their_own_slots(day: date, zone: str) -> None:
    start, end = clock.day_bounds(day, zone)
    assert start < end == clock.day_bounds(day + timedelta(days=1), zone)[0]
    if zone != "Asia/Kathmandu":  # quarter hours fit its offset too
        assert end - start in (92, 94, 96, 98, 100)
    assert clock.local_day(start, zone) == clock.local_day(end - 1, zone) == day
    assert clock.local_day(start - 1, zone) == day - timedelta(days=1)


@given(instants)
def test_a_slot_is_the_quarter_hour_that_an_instant_lies_in(instant: datetime) -> None:
    slot = clock.slot_of(instant)
    assert clock.slot_start(slot) <= instant < clock.slot_start(slot + 1)
    assert clock.slot_start(clock.slot_end_of(instant) - 1) < instant
    assert instant <= clock.slot_start(clock.slot_end_of(instant))


def test_an_instant_before_1970_or_in_another_zone_lies_in_its_own_slot() -> None:
    assert clock.slot_of(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1
    assert clock.slot_of(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0


@given(st.sets(st.integers(0, 40)), st.integers(0, 20), st.integers(0, 20))
def test_gaps_are_exactly_the_slots_that_are_missing(
    slots: set[int], start: int, length: int
) -> None:
    end = start + length
    inside = sorted(slot for slot in slots if start <= slot < end)
    missing = [
        slot for first, last in clock.gaps(inside, start, end) for slot in range(first, last)
    ]
    assert missing == sorted(set(range(start, end)) - slots)


def test_zones_come_from_the_pinned_package_and_not_from_the_machine() -> None:
    assert zoneinfo.TZPATH == ()


def test_the_earliest_weeks_zone_is_the_first_and_the_latest_the_last() -> None:
    zones = (ZoneSpan(FIRST_WEEK, "UTC"), ZoneSpan("2026-W40", "Asia/Kathmandu"))
    assert clock.zone_for("2026-W39", zones) == "UTC"
    assert clock.zone_for("2026-W40", zones) == "Asia/Kathmandu"
