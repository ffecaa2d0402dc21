"""Slots, civil weeks of a customer and watermarks: pure functions of their arguments.

A slot is a quarter hour, as an integer: quarter hours since 1970-01-01T00:00Z. A week is Monday
00:00 to Monday 00:00 in the customer's home zone, named like `2026-W47`. Must not read the time.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, reset_tzpath

from fitstream.errors import Rejected

reset_tzpath(to=())  # only the pinned tzdata package counts: the same weeks on every machine

SLOT_S = 900
DAY_SLOTS = 96
FIRST_WEEK = "0000-W00"
_MONDAY = date(1970, 1, 5)
_LAST_MONDAY = date(9999, 12, 13)  # its week and the next still end inside the calendar
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ZoneSpan(NamedTuple):
    """A home zone and the first week it is in force for; spans are kept sorted by week."""

    from_week: str
    zone: str


class Week(NamedTuple):
    """One civil week: its ISO name and its half-open range of slots."""

    name: str
    start_slot: int
    end_slot: int


Zones = tuple[ZoneSpan, ...]


def slot_of(instant: datetime) -> int:
    """The slot that `instant` (with a zone) lies in."""
    return int((instant - _EPOCH) // timedelta(seconds=SLOT_S))


def slot_start(slot: int) -> datetime:
    """The UTC instant at which `slot` begins."""
    return _EPOCH + timedelta(seconds=slot * SLOT_S)


def epoch_s(seconds: int) -> datetime:
    """The UTC instant `seconds` after 1970."""
    return _EPOCH + timedelta(seconds=seconds)


def slot_end_of(instant: datetime) -> int:
    """The first slot that begins at or after `instant`: an exclusive end in slots."""
    return -int((_EPOCH - instant) // timedelta(seconds=SLOT_S))


def check_zone(name: str) -> str:
    """`name` if it is an IANA zone; raises Rejected(unknown_zone)."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Rejected("unknown_zone", f"{name!r} is not an IANA time zone") from error
    return name


def week_name(index: int) -> str:
    """ISO name of the `index`-th Monday-to-Monday week since 1970-01-05."""
    year, week, _ = (_MONDAY + timedelta(weeks=index)).isocalendar()
    return f"{year:04d}-W{week:02d}"


def week_index(name: str) -> int:
    """Inverse of `week_name`; raises Rejected(bad_week) for anything but `2026-W47`."""
    refused = Rejected("bad_week", f"{name[:20]!r} is not a week; write it like 2026-W47")
    try:
        monday = datetime.strptime(f"{name}-1", "%G-W%V-%u").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise refused from error
    index = (monday - _MONDAY).days // 7
    if monday > _LAST_MONDAY or week_name(index) != name:  # strptime also takes week 53 of any year
        raise refused
    return index


def zone_for(week: str, zones: Zones) -> str:
    """The zone in force for `week`; `zones` is sorted and its first span starts at FIRST_WEEK."""
    current = zones[0].zone
    for span in zones:
        if span.from_week <= week:
            current = span.zone
    return current


@lru_cache(maxsize=65_536)
def boundary(index: int, zones: Zones) -> int:
    """First slot of week `index`: Monday 00:00 in the zone in force for it."""
    monday = _MONDAY + timedelta(weeks=index)
    zone = ZoneInfo(zone_for(week_name(index), zones))
    return slot_of(datetime(monday.year, monday.month, monday.day, tzinfo=zone))


def bounds(index: int, zones: Zones) -> Week:
    """Week `index` as a half-open range; neighbouring weeks always touch."""
    return Week(week_name(index), boundary(index, zones), boundary(index + 1, zones))


def week_of(slot: int, zones: Zones) -> Week:
    """The week that `slot` is filed in."""
    index = (slot_start(slot).date() - _MONDAY).days // 7
    while boundary(index, zones) > slot:
        index -= 1
    while boundary(index + 1, zones) <= slot:
        index += 1
    return bounds(index, zones)


def week_after_move(now: datetime, zones: Zones, zone: str) -> str:
    """First week whose Monday lies more than an hour ahead in the old and in the new zone."""
    index = (now.date() - _MONDAY).days // 7 - 1
    limit = slot_of(now + timedelta(hours=1))
    moved = (ZoneSpan(FIRST_WEEK, zone),)
    while min(boundary(index, zones), boundary(index, moved)) <= limit:
        index += 1
    return week_name(index)


def local_time(slot: int, zone: str) -> datetime:
    """Wall clock (without zone) at the start of `slot`."""
    return slot_start(slot).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def day_bounds(day: date, zone: str) -> tuple[int, int]:
    """Half-open slot range of the local calendar day; 92 or 100 slots when the clocks change."""
    tz = ZoneInfo(zone)
    following = day + timedelta(days=1)
    start = datetime(day.year, day.month, day.day, tzinfo=tz)
    end = datetime(following.year, following.month, following.day, tzinfo=tz)
    return slot_of(start), slot_of(end)


def local_day(slot: int, zone: str) -> date:
    """Local calendar day that `slot` begins on."""
    return slot_start(slot).astimezone(ZoneInfo(zone)).date()


def closes_at(end_slot: int, grace_hours: float) -> datetime:
    """The instant at which a week closes although devices have not said they are complete."""
    return slot_start(end_slot) + timedelta(hours=grace_hours)


def gaps(slots: Sequence[int], start: int, end: int) -> list[tuple[int, int]]:
    """Half-open runs of [start, end) that the sorted `slots` lack."""
    missing = []
    expected = start
    for slot in slots:
        if slot > expected:
            missing.append((expected, slot))
        expected = max(expected, slot + 1)
    if expected < end:
        missing.append((expected, end))
    return missing
