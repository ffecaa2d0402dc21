"""The time in a cell: text, number or instant in many shapes, as the instant a slot begins.

Pure. A local time that the clocks skip or repeat is refused, never guessed.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from fitstream.errors import Rejected

HOME = "home"
ISO, UNIX_S, UNIX_MS = "iso", "unix_s", "unix_ms"
_SLOT = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIVES = frozenset("YmdHMSfpIyjbBzaAe%")
_SECONDS_MAX = 253_402_300_799  # 9999


class TimeFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a source writes times.

    `format` is iso, unix_s, unix_ms or a pattern like `%d.%m.%Y %H:%M`; `zone` is an IANA name for
    times without one, or home for that of the customer; `stamp` says which end of the quarter hour
    the time names.
    """

    format: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^\x00]*$")] = ISO
    zone: Annotated[str, Meta(max_length=64, pattern="^[^\x00]*$")] = ""
    stamp: Literal["start", "end"] = "start"


class RowRefused(ValueError):
    """A row that cannot become a sample; `code` is that of its verdict."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Begin(NamedTuple):
    """When a slot begins, and the offset east of UTC where the zone was looked up."""

    instant: datetime
    offset_min: int | None


Reader = Callable[[Any, str], Begin]


def check_format(pattern: str) -> None:
    """Raises Rejected(bad_format) unless times can be read by `pattern`."""
    if pattern in (ISO, UNIX_S, UNIX_MS):
        return
    used = {pattern[i + 1 : i + 2] for i, mark in enumerate(pattern) if mark == "%"}
    if not used or not used <= _DIRECTIVES:
        text = f"{pattern!r} is no time format: write iso, unix_s, unix_ms or %Y-%m-%d %H:%M"
        raise Rejected("bad_format", text, 422)
    try:
        datetime.strptime(datetime(2026, 11, 23, 8, 15).strftime(pattern), pattern)  # noqa: DTZ001, DTZ007
    except (ValueError, re.error) as error:  # the second for a part that is there twice
        raise Rejected("bad_format", f"{pattern!r} is no time format: {error}", 422) from error


def reader(how: TimeFormat) -> Reader:
    """A function of (cell, zone to use for a time without one). Raises RowRefused."""
    parse = _parser(how.format)

    def read(cell: Any, zone: str) -> Begin:
        try:
            found = parse(cell)
            begin = _in_zone(found, zone)
        except RowRefused:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            shown = str(cell)[:40]
            text = f"slot {shown!r} is not a time of the format {how.format}"
            raise RowRefused("wrong_type", text) from error
        if how.stamp == "end":
            return begin._replace(instant=begin.instant - _SLOT)
        return begin

    return read


def _parser(pattern: str) -> Callable[[Any], datetime]:
    if pattern in (UNIX_S, UNIX_MS):
        divisor = 1000 if pattern == UNIX_MS else 1
        return lambda cell: cell if isinstance(cell, datetime) else _unix(cell, divisor)
    if pattern == ISO:
        return lambda cell: cell if isinstance(cell, datetime) else _iso(cell)
    return lambda cell: cell if isinstance(cell, datetime) else _by_pattern(str(cell), pattern)


def joined(day: Any, clock: Any) -> Any:
    """The cells of a date and a time as one: an instant for typed cells, else text."""
    if isinstance(day, datetime):
        day = day.date()
    if isinstance(day, date) and isinstance(clock, time):
        return datetime.combine(day, clock)
    return f"{day} {clock}"


def _unix(cell: Any, divisor: int) -> datetime:
    seconds = float(cell) / divisor
    if not 0 <= seconds <= _SECONDS_MAX:
        raise ValueError("not a time")
    return _EPOCH + timedelta(seconds=seconds)


def _iso(cell: Any) -> datetime:
    if not isinstance(cell, str):
        raise TypeError("not a text")
    return datetime.fromisoformat(cell.strip())


@lru_cache(maxsize=100_000)
def _by_pattern(text: str, pattern: str) -> datetime:
    return datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - the zone comes after


def _in_zone(found: datetime, zone: str) -> Begin:
    if found.tzinfo is not None:
        return Begin(found.astimezone(UTC), None)
    if not zone:
        text = f"slot {found.isoformat()} has no zone; say in the mapping which zone it is in"
        raise RowRefused("wrong_type", text)
    return Begin(*_local(found.replace(fold=0), zone))


@lru_cache(maxsize=200_000)
def _local(found: datetime, zone: str) -> tuple[datetime, int]:
    tz = ZoneInfo(zone)
    first = found.replace(tzinfo=tz)
    offset = first.utcoffset() or timedelta()
    instant = first.astimezone(UTC)
    if offset != found.replace(tzinfo=tz, fold=1).utcoffset():
        is_gap = instant.astimezone(tz).replace(tzinfo=None) != found
        code = "no_such_time" if is_gap else "ambiguous_time"
        what = "is skipped" if is_gap else "comes twice"
        text = f"slot {found.isoformat()} {what} in {zone}, as the clocks change; write its offset"
        raise RowRefused(code, text)
    return instant, int(offset.total_seconds() // 60)
