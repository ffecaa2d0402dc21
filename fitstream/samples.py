"""The verdict on a row: check and round. Gateway, uploads and replay judge alike through this.

One bad row never rejects its neighbours. Ranges stand in the row's type, so that the decoder
checks them in C; what is left (slot, order of heart rates, sum of minutes) is checked by column.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from fitstream.clock import DAY_SLOTS, SLOT_S, slot_of
from fitstream.events import Column, SampleColumns
from fitstream.measured import measure
from fitstream.merge import NAMES

FUTURE = timedelta(minutes=20)
_FIRST_METRIC = 4
_SLOT_CACHE_MAX = 200_000
_HEART_ORDER = "heart rates must satisfy min <= mean <= max"
_MINUTES_EXCEED = "light, moderate, vigorous and sedentary minutes exceed the 15 of a slot"

Text = Annotated[str, Meta(min_length=1, max_length=256, pattern="^[^\x00]*$")]
Instant = Annotated[datetime, Meta(tz=True)]
Steps = Annotated[int, Meta(ge=0, le=6000)]
Metres = Annotated[float, Meta(ge=0, le=20_000)]
Kcal = Annotated[float, Meta(ge=0, le=2000)]
Bpm = Annotated[float, Meta(ge=20, le=260)]
Minutes = Annotated[float, Meta(ge=0, le=15)]
Floors = Annotated[int, Meta(ge=0, le=200)]


class SampleRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row as a device writes it; what it leaves out was not measured.

    `slot` stays text: the same few hundred instants come from every device, so a look-up is
    cheaper than parsing each.
    """

    slot: Annotated[str, Meta(max_length=40)]
    tz_offset_min: Annotated[int, Meta(ge=-840, le=840)] = 0
    rev: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    deleted: bool = False
    steps: Steps | None = None
    distance_m: Metres | None = None
    calories_kcal: Kcal | None = None
    heart_rate_bpm: Bpm | None = None
    heart_rate_min_bpm: Bpm | None = None
    heart_rate_max_bpm: Bpm | None = None
    light_min: Minutes | None = None
    moderate_min: Minutes | None = None
    vigorous_min: Minutes | None = None
    sedentary_min: Minutes | None = None
    sleep_min: Minutes | None = None
    floors: Floors | None = None


class Envelope(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a device says about a post beside its rows."""

    device_id: Text
    sent_at: Instant
    complete_through: Instant | None = None
    app_version: Text | None = None


class Verdict(NamedTuple):
    """Why the row at `index` was refused; `retry` says whether sending it later can help."""

    index: int  # type: ignore[assignment]  # the contract's name; tuple.index is not used
    code: str
    message: str
    retry: bool = False
    slot: int | None = None


class Decoded(NamedTuple):
    """Readable rows with their indexes in the post, and a verdict on each unreadable one."""

    envelope: Envelope
    rows: list[SampleRow]
    indexes: Sequence[int]
    rejected: list[Verdict]


class Checked(NamedTuple):
    """What remains of a post: accepted rows as columns, and the verdicts on the others."""

    columns: SampleColumns
    accepted: int
    rejected: list[Verdict]


class Window(NamedTuple):
    """Slots that are accepted at one instant, both ends included."""

    oldest: int
    latest: int


_as_tuple: Callable[[SampleRow], tuple[object, ...]] = msgspec.structs.astuple
_known_slots: dict[str, int | None] = {}


def window(now: datetime, backfill_days: int) -> Window:
    """Not more than 20 minutes ahead of `now`, not older than `backfill_days`."""
    return Window(slot_of(now) - backfill_days * DAY_SLOTS, slot_of(now + FUTURE))


def parse_slot(text: str) -> int | None:
    """Slot that begins at the RFC 3339 instant `text`; None off the quarter hour.

    Raises ValueError for anything else, a time without zone included.
    """
    start = msgspec.convert(text, Instant)
    slot, rest = divmod(start.timestamp(), SLOT_S)
    return None if rest else int(slot)


def check(decoded: Decoded, accepted: Window) -> Checked:
    """Verdict on every row of a post; docs/api.md lists the codes."""
    if not decoded.rows:
        return Checked(SampleColumns(slot=[]), 0, decoded.rejected)
    bad: dict[int, Verdict] = {}
    columns = list(zip(*map(_as_tuple, decoded.rows), strict=True))
    slots = _check_slots(columns[0], accepted, bad)
    measured = measure(columns[_FIRST_METRIC:])
    _note(measured.wrong_heart(), "heart_rate_order", _HEART_ORDER, bad)
    _note(measured.wrong_minutes(), "minutes_exceed_slot", _MINUTES_EXCEED, bad)
    scaled = measured.scaled()
    if not bad:
        return Checked(_build(slots, columns, scaled), len(slots), decoded.rejected)
    keep = [i for i in range(len(slots)) if i not in bad]
    rejected = [
        verdict._replace(index=decoded.indexes[i], slot=slots[i] if slots[i] >= 0 else None)
        for i, verdict in bad.items()
    ]
    built = _build(*_kept(keep, slots, columns, scaled))
    return Checked(built, len(keep), sorted([*decoded.rejected, *rejected]))


def _check_slots(texts: Sequence[str], accepted: Window, bad: dict[int, Verdict]) -> list[int]:
    """Slot numbers; −1 stands for one that could not be read or is off the quarter hour."""
    try:
        slots: list[int | None] = list(map(_known_slots.__getitem__, texts))
    except KeyError:
        slots = [_slot(i, text, bad) for i, text in enumerate(texts)]
    if None in slots:
        for i, slot in enumerate(slots):
            if slot is None:
                text = f"slot {texts[i]} is not the start of a quarter hour"
                bad.setdefault(i, Verdict(i, "slot_misaligned", text))
    numbers = [-1 if slot is None else slot for slot in slots]
    if min(numbers) < accepted.oldest or max(numbers) > accepted.latest:
        _check_window(numbers, accepted, bad)
    return numbers


def _slot(index: int, text: str, bad: dict[int, Verdict]) -> int | None:
    if text in _known_slots:
        return _known_slots[text]
    try:
        slot = parse_slot(text)
    except (ValueError, OverflowError):
        sentence = "slot must be an RFC 3339 time with its zone, like 2026-11-23T08:15:00Z"
        bad[index] = Verdict(index, "wrong_type", sentence)
        return None
    if len(_known_slots) >= _SLOT_CACHE_MAX:
        _known_slots.clear()
    _known_slots[text] = slot
    return slot


def _check_window(numbers: Sequence[int], accepted: Window, bad: dict[int, Verdict]) -> None:
    for i, slot in enumerate(numbers):
        if slot > accepted.latest:
            text = "slot lies more than 20 minutes ahead; check the clock and send it later"
            bad.setdefault(i, Verdict(i, "future_slot", text, retry=True))
        elif slot < accepted.oldest:
            text = "slot is older than the programme accepts; leave it out"
            bad.setdefault(i, Verdict(i, "too_old", text))


def _note(wrong: Sequence[int], code: str, text: str, bad: dict[int, Verdict]) -> None:
    for i in wrong:
        bad.setdefault(i, Verdict(i, code, text))


def _kept(
    keep: Sequence[int],
    slots: Sequence[int],
    columns: Sequence[Sequence[object]],
    scaled: Sequence[Column | None],
) -> tuple[list[int], list[list[object]], list[Column | None]]:
    return (
        [slots[i] for i in keep],
        [[column[i] for i in keep] for column in columns[:_FIRST_METRIC]],
        [_kept_metric(keep, column) for column in scaled],
    )


def _kept_metric(keep: Sequence[int], column: Column | None) -> Column | None:
    """What only refused rows had measured leaves no column behind."""
    kept = [] if column is None else [column[i] for i in keep]
    return None if kept.count(None) == len(kept) else kept


def _build(
    slots: list[int], columns: Sequence[Sequence[object]], scaled: Sequence[Column | None]
) -> SampleColumns:
    deleted = columns[3]
    return SampleColumns(
        slot=slots,
        tz_offset_min=_shared(columns[1]),
        rev=_shared(columns[2]),
        deleted=[i for i, gone in enumerate(deleted) if gone] if True in deleted else [],
        **dict(zip(NAMES, scaled, strict=True)),
    )


def _shared(column: Sequence[object]) -> int | list[int]:
    """One number where all rows have the same, else the column."""
    if not column:
        return 0
    first = column[0]
    same = column.count(first) == len(column)
    return first if same else list(column)  # type: ignore[return-value, arg-type]
