"""Rows of the ledger as readers see them: one per slot, hours and days in the home zone."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from fitstream.clock import day_bounds, slot_of
from fitstream.combined import Slot, combine, days, hours, totals, usual_hours
from tests.factories import SLOT, blank_row, ledger_row, values

BERLIN = "Europe/Berlin"


def slot(number: int = SLOT, **measured: int) -> Slot:
    return Slot(number, values(**measured), "dev_1", 60, 0)


def test_a_slot_takes_each_metric_from_the_best_device_that_measured_it() -> None:
    watch = ledger_row(device=1, priority=1, steps=10, rev=3)
    phone = ledger_row(device=2, priority=2, steps=90, floors=2, rev=5)
    (found,) = combine([watch, phone])
    assert found.values == values(steps=10, floors=2)
    assert (found.device_id, found.rev) == ("dev_1", 3)


def test_a_tombstone_uncovers_what_lay_below() -> None:
    gone = ledger_row(device=1, priority=1, deleted=True)
    below = ledger_row(device=2, priority=2, steps=90)
    (found,) = combine([gone, below])
    assert (found.values, found.device_id) == (values(steps=90), "dev_2")


def test_a_slot_of_tombstones_alone_is_absent() -> None:
    assert combine([ledger_row(deleted=True), ledger_row(SLOT + 1, deleted=True)]) == []


def test_a_watch_that_was_not_worn_gives_way_to_the_phone() -> None:
    (found,) = combine([blank_row(device=1), ledger_row(device=2, steps=7)])
    assert (found.device_id, found.values, found.is_measured) == ("dev_2", values(steps=7), True)
    (found,) = combine([blank_row(device=1), blank_row(device=2)])
    assert (found.device_id, found.is_measured) == ("dev_1", False)


def test_a_row_of_the_ledger_is_the_version_that_the_merge_rule_sees() -> None:
    row = ledger_row(rev=4, steps=0, sleep_min=5).row
    assert (row.values, row.rev, row.deleted) == (values(steps=0, sleep_min=5), 4, False)
    assert ledger_row(deleted=True).row.deleted


def test_totals_add_up_and_average_heart_rates() -> None:
    found = totals(
        [
            slot(steps=10, heart_rate_bpm=600, heart_rate_min_bpm=500, heart_rate_max_bpm=700),
            slot(steps=5, heart_rate_bpm=800, heart_rate_min_bpm=550, heart_rate_max_bpm=900),
            slot(distance_m=15),
        ]
    )
    assert found == {
        "steps": 15,
        "distance_m": 1.5,
        "heart_rate_bpm": 70,
        "heart_rate_min_bpm": 50,
        "heart_rate_max_bpm": 90,
    }


def test_what_nobody_measured_has_no_total_and_zero_has_one() -> None:
    assert totals([]) == {}
    assert totals([slot(), slot(steps=0)]) == {"steps": 0}


def test_days_are_those_of_the_home_zone_and_absent_ones_are_listed() -> None:
    first = slot_of(datetime(2026, 11, 22, 23, 0, tzinfo=UTC))  # 00:00 on the 23rd in Berlin
    found = days(
        [slot(first - 1, steps=1), slot(first, steps=2)],
        BERLIN,
        (date(2026, 11, 21), date(2026, 11, 23)),
    )
    assert [(entry["day"], entry.get("steps"), entry["worn"]) for entry in found] == [
        ("2026-11-21", None, False),
        ("2026-11-22", 1, True),
        ("2026-11-23", 2, True),
    ]


def test_a_day_on_which_the_clocks_change_has_its_own_number_of_slots() -> None:
    span = (date(2026, 10, 24), date(2026, 10, 25))
    assert [entry["slots"] for entry in days([], BERLIN, span)] == [96, 100]


def test_a_day_with_rows_that_measured_nothing_was_not_worn() -> None:
    (entry,) = days([slot()], "UTC", (date(2026, 11, 23), date(2026, 11, 23)))
    assert (entry["measured"], entry["worn"]) == (0, False)


@given(st.lists(st.integers(0, 95), unique=True), st.integers(0, 100))
def test_a_days_hours_add_up_to_the_day(quarters: list[int], steps: int) -> None:
    day = date(2026, 11, 23)
    start, _ = day_bounds(day, BERLIN)
    found = [slot(start + quarter, steps=steps) for quarter in sorted(quarters)]
    by_hour = hours(found, BERLIN)
    (whole,) = days(found, BERLIN, (day, day))
    assert sum(entry["steps"] for entry in by_hour) == whole.get("steps", 0)  # type: ignore[misc]
    assert sum(entry["measured"] for entry in by_hour) == whole["measured"]  # type: ignore[misc]
    assert [entry["hour"] for entry in by_hour] == sorted({quarter // 4 for quarter in quarters})


def test_the_usual_hour_is_the_mean_over_worn_days() -> None:
    start, _ = day_bounds(date(2026, 11, 23), "UTC")
    found = [
        slot(start, steps=10, heart_rate_bpm=600),
        slot(start + 96, steps=30, heart_rate_bpm=700),
        slot(start + 97, floors=1),
        slot(start + 4 * 96),  # a day without wear does not count
    ]
    assert usual_hours(found, "UTC") == [
        {"hour": 0, "steps": 20, "heart_rate_bpm": 65, "floors": 0.5}
    ]
    assert usual_hours([], "UTC") == []
