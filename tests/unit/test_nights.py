"""Whose day has ended: each zone's midnight by its own clock, and few groups of them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from fitstream.clock import day_bounds, slot_start
from fitstream.consumers.nights import nights_at

AFTER_S = 1200.0
ZONES = (
    "UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "America/Santiago",
    "America/Havana", "Africa/Casablanca",
)  # fmt: skip


def planned(zone: str, first: datetime, days: int) -> list[tuple[date, datetime]]:
    """Local days of a zone, and when each was seen first by who looks every five minutes."""
    seen: dict[date, datetime] = {}
    for step in range(days * 288):
        now = first + timedelta(minutes=5 * step)
        (night,) = nights_at(now, [zone], AFTER_S)
        seen.setdefault(night.day, now)
    return list(seen.items())


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "first", [datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)]
)
def test_every_local_day_is_forecast_once_in_the_hour_after_its_midnight(
    zone: str, first: datetime
) -> None:
    """Over changes of the clocks, at half hours and at both ends of the world."""
    found = planned(zone, first, 14)
    days = [day for day, _ in found]
    assert len(days) in (14, 15)
    assert all(after - before == timedelta(days=1) for before, after in pairwise(days))
    for day, at in found[1:]:
        midnight = slot_start(day_bounds(day, zone)[0])
        assert timedelta(seconds=AFTER_S) <= at - midnight < timedelta(hours=1)
        assert at.astimezone(ZoneInfo(zone)).date() == day  # all of the day before is over


def test_a_day_that_begins_at_one_in_the_morning_is_forecast_after_that() -> None:
    """Santiago skips the hour after midnight of 2026-09-06."""
    zone, start = "America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)
    (before,) = nights_at(start + timedelta(seconds=AFTER_S - 1), [zone], AFTER_S)
    (after,) = nights_at(start + timedelta(seconds=AFTER_S), [zone], AFTER_S)
    assert (before.day, after.day) == (date(2026, 9, 5), date(2026, 9, 6))
    assert slot_start(after.start_slot) == start


def test_all_the_zones_of_the_world_have_few_nights_and_each_zone_lies_in_one() -> None:
    """Kiritimati and Honolulu begin their days at the same instant, but not the same day."""
    zones = available_timezones() - {"localtime"}
    found = nights_at(datetime(2026, 7, 1, 12, tzinfo=UTC), zones, AFTER_S)
    assert len(found) <= 42
    assert sorted(zone for night in found for zone in night.zones) == sorted(zones)
    of = {zone: night for night in found for zone in night.zones}
    assert of["Pacific/Kiritimati"].start_slot == of["Pacific/Honolulu"].start_slot
    assert of["Pacific/Kiritimati"].day == of["Pacific/Honolulu"].day + timedelta(days=1)
    assert of["Europe/Berlin"] is of["Europe/Paris"]
