"""How far a replay has seen every offset of a partition. Pure."""

from datetime import UTC, date, datetime

from fitstream.clock import slot_of
from fitstream.errors import Rejected


class Coverage:
    """Offsets [begin, end) were all seen; what comes behind a hole does not count any more."""

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.end = begin
        self.hole: tuple[int, int] | None = None

    def missing_before(self, offset: int) -> tuple[int, int] | None:
        """Offsets that lie between what was seen and `offset`, None when there are none."""
        return (self.end, offset) if self.hole is None and offset > self.end else None

    def bridge(self, offset: int) -> None:
        """What is missing before `offset` is accounted for elsewhere."""
        self.end = offset

    def break_at(self, span: tuple[int, int]) -> None:
        """`span` is nowhere: nothing behind its beginning counts."""
        self.hole = self.hole or span

    def see(self, offset: int) -> None:
        """The record at `offset` is there."""
        if self.hole is None and offset == self.end:
            self.end = offset + 1


def slot_or_date(text: str, name: str) -> int:
    """The slot of a number, a day (its beginning in UTC) or an RFC 3339 time.

    Raises Rejected(bad_range) for anything else, naming the option.
    """
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    try:
        day = date.fromisoformat(text)
        return slot_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected("bad_range", f"{name}: write a slot, 2026-11-23 or a time") from error
    if instant.tzinfo is None:
        raise Rejected("bad_range", f"{name} needs its zone, like 2026-11-23T00:00:00Z")
    return slot_of(instant)
