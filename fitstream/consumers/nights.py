"""The nights of a programme's customers, each in their own zone: whose next day is due.

Zones whose day began at the same instant share a night, so however many there are, a programme has
no more than some forty jobs a day. Must do no I/O.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

from fitstream.clock import day_bounds, local_day, slot_of


class Night(NamedTuple):
    """A local day that has begun, in the zones in which it began at the same slot."""

    day: date
    start_slot: int
    zones: tuple[str, ...]


def nights_at(now: datetime, zones: Iterable[str], after_s: float) -> list[Night]:
    """The newest night of each zone, in order of time: the last local day that began at least
    `after_s` before `now`. A day begins at its first slot, also where the clocks skip midnight."""
    until = slot_of(now - timedelta(seconds=after_s))
    found: dict[tuple[int, date], list[str]] = {}
    for zone in sorted(set(zones)):
        day = local_day(until, zone)
        found.setdefault((day_bounds(day, zone)[0], day), []).append(zone)
    return [Night(day, start, tuple(names)) for (start, day), names in sorted(found.items())]
