"""The picture of a week has every slot once, in its local day, and lists its gaps."""

from datetime import UTC, date, datetime, timedelta

import pytest

from fitstream.client.data import Quarter, SlotState, WeekSlots
from fitstream.clock import FIRST_WEEK, ZoneSpan, bounds, slot_start, week_index
from fitstream.gateway.view.grid import gaps, metric_grid, week_grid


def week(name: str = "2026-W47", zone: str = "Europe/Berlin", **states: str) -> WeekSlots:
    """All slots measured with 100 steps but those named `s<index>`."""
    found = bounds(week_index(name), (ZoneSpan(FIRST_WEEK, zone),))
    slots = [
        SlotState(slot=slot_start(slot), state=states.get(f"s{i}", "measured"), steps=100)
        for i, slot in enumerate(range(found.start_slot, found.end_slot))
    ]
    start, end = slot_start(found.start_slot), slot_start(found.end_slot)
    return WeekSlots(week=name, start=start, end=end, zone=zone, slots=slots)


@pytest.mark.parametrize(
    ("name", "slots"), [("2026-W47", 672), ("2026-W13", 668), ("2026-W43", 676)]
)
def test_weeks_in_which_the_clock_changes_have_all_their_slots(name: str, slots: int) -> None:
    grid = week_grid(week(name))
    assert [row.label for row in grid.rows] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert sum(len(row.cells) for row in grid.rows) == slots
    assert all(0 <= cell.x < 96 for row in grid.rows for cell in row.cells)


def test_slots_that_have_not_begun_are_shown_as_such() -> None:
    full = week()
    grid = week_grid(WeekSlots(**{
        "week": full.week, "start": full.start, "end": full.end, "zone": full.zone,
        "slots": full.slots[:4],
    }))  # fmt: skip
    assert grid.counts["later"] == 668
    assert grid.summary == "Slots of the week: 4 measured"


def test_the_table_counts_every_state_per_day() -> None:
    grid = week_grid(week(s0="not_sent", s1="zero", s2="not_worn", s3="rejected"))
    heads, rows = grid.table
    assert heads == [
        "Day", "Measured", "Measured zero", "Not worn", "Not sent", "Rejected", "Not yet",
    ]  # fmt: skip
    assert rows[0] == ["Mon 16 Nov", "92", "1", "1", "1", "1", "0"]


def test_more_steps_are_a_stronger_colour() -> None:
    looks = []
    for steps in (1, 100, 400, 900):
        found = week()
        slots = [SlotState(slot=found.start, state="measured", steps=steps)]
        one = WeekSlots(week=found.week, start=found.start, end=found.end, zone="UTC", slots=slots)
        looks.append(week_grid(one).rows[0].cells[0].look)
    assert looks == ["l1", "l2", "l3", "l4"]


def test_neighbouring_slots_without_values_are_one_gap() -> None:
    found = gaps(week(s4="not_sent", s5="not_sent", s6="not_worn", s9="not_sent"))
    assert [(gap.start, gap.end, gap.state) for gap in found] == [
        ("01:00", "01:30", "not_sent"),
        ("01:30", "01:45", "not_worn"),
        ("02:15", "02:30", "not_sent"),
    ]


def test_a_gap_ends_with_its_day() -> None:
    found = gaps(week(s95="not_sent", s96="not_sent"))
    assert [(gap.day.day, gap.start, gap.end) for gap in found] == [
        (16, "23:45", "24:00"),
        (17, "00:00", "00:15"),
    ]


def test_a_heat_map_has_a_row_for_every_day_of_its_span() -> None:
    start = datetime(2026, 11, 16, 6, tzinfo=UTC)
    quarters = [
        Quarter(slot=start + timedelta(minutes=15 * i), steps=float(i * 10)) for i in range(8)
    ]
    span = (date(2026, 11, 15), date(2026, 11, 17))
    grid = metric_grid(quarters, "steps", span, "UTC")
    assert [len(row.cells) for row in grid.rows] == [0, 8, 0]
    assert grid.rows[1].cells[0].look == "l0"
    assert grid.rows[1].cells[-1].look == "l4"
    assert grid.table[1][1] == ["Mon 16 Nov", "8", "4"]
