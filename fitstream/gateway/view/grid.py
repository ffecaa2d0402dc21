"""Days by slots as a picture: one row per local day, one cell per quarter hour. Pure."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from fitstream.client.data import Quarter, SlotState, WeekSlots
from fitstream.gateway.view import words

STATES = {
    "measured": "measured",
    "zero": "measured zero",
    "not_worn": "not worn",
    "not_sent": "not sent",
    "rejected": "rejected",
    "later": "not yet",
}
_STEP_LEVELS = (1, 60, 250, 700)
_LEVELS = ("l0", "l1", "l2", "l3", "l4")


class Cell(NamedTuple):
    """Column 0…95 by wall clock, the class that colours it, and what it is in words."""

    x: int
    look: str
    text: str


class DayRow(NamedTuple):
    """A local day."""

    label: str
    title: str
    cells: tuple[Cell, ...]


class Grid(msgspec.Struct, frozen=True):
    """`summary` is the picture in one sentence; `counts` the slots per state."""

    summary: str
    rows: tuple[DayRow, ...]
    counts: dict[str, int] = {}

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The picture as a table: heads, and a row per day with its slots by look."""
        if self.counts:
            kinds = {state: head.capitalize() for state, head in STATES.items()}
            columns = [(head, _looks_of(state)) for state, head in kinds.items()]
        else:
            columns = [("Slots measured", _LEVELS), ("Of these in the upper half", _LEVELS[3:])]
        rows = [[row.title, *(_count(row, looks) for _, looks in columns)] for row in self.rows]
        return ["Day", *(head for head, _ in columns)], rows


class Gap(NamedTuple):
    """Neighbouring slots of one day that were not measured, and why."""

    day: date
    start: str
    end: str
    state: str
    code: str | None


def week_grid(week: WeekSlots) -> Grid:
    """The ledger of a week: a cell for each of its slots, coloured by state and steps."""
    zone = words.known_zone(week.zone)
    known = {slot.slot.astimezone(UTC): slot for slot in week.slots}
    counts = dict.fromkeys(STATES, 0)
    cells: dict[date, list[Cell]] = {}
    for instant in _quarters(week.start, week.end):
        slot = known.get(instant) or SlotState(slot=instant, state="later")
        counts[slot.state] = counts.get(slot.state, 0) + 1
        local = instant.astimezone(zone)
        text = f"{words.day_of(local.date())} {local:%H:%M}: {_slot_text(slot)}"
        cell = Cell(_column(local), _slot_look(slot), text)
        cells.setdefault(local.date(), []).append(cell)
    rows = tuple(DayRow(f"{day:%a}", words.day_of(day), tuple(row)) for day, row in cells.items())
    said = ", ".join(f"{counts[s]} {STATES[s]}" for s in STATES if counts[s] and s != "later")
    return Grid(f"Slots of the week: {said or 'none yet'}", rows, counts)


def metric_grid(
    quarters: Sequence[Quarter], metric: str, span: tuple[date, date], zone: str
) -> Grid:
    """One metric over days: darker is more, empty was not measured."""
    measured = [(q.slot, value) for q in quarters if (value := q.value(metric)) is not None]
    level = _levels(sorted(value for _, value in measured if value > 0))
    tz, unit = words.known_zone(zone), words.unit(metric) or words.metric(metric).lower()
    cells: dict[date, list[Cell]] = {}
    for instant, value in measured:
        local = instant.astimezone(tz)
        text = f"{words.day_of(local.date())} {local:%H:%M}: {words.number(value)} {unit}"
        cells.setdefault(local.date(), []).append(Cell(_column(local), f"l{level(value)}", text))
    rows = []
    for ordinal in range(span[0].toordinal(), span[1].toordinal() + 1):
        day = date.fromordinal(ordinal)
        label = (
            f"{day.day} {day:%b}" if day.weekday() == 0 or ordinal == span[0].toordinal() else ""
        )
        rows.append(DayRow(label, words.day_of(day), tuple(cells.get(day, ()))))
    summary = f"{words.metric(metric)} by day and quarter hour, {len(measured)} slots measured"
    return Grid(summary, tuple(rows))


def gaps(week: WeekSlots) -> list[Gap]:
    """Runs of slots without values, in order; a run ends with its day."""
    zone = words.known_zone(week.zone)
    runs: list[list[SlotState]] = []
    for slot in week.slots:
        if slot.state in ("measured", "zero"):
            continue
        before = runs[-1][-1] if runs else None
        if before is not None and _continues(before, slot, zone):
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return [_gap(run, zone) for run in runs]


def _looks_of(state: str) -> tuple[str, ...]:
    return {"measured": _LEVELS[1:], "zero": _LEVELS[:1]}.get(state, (state,))


def _count(row: DayRow, looks: tuple[str, ...]) -> str:
    return words.number(sum(cell.look in looks for cell in row.cells))


def _continues(before: SlotState, slot: SlotState, zone: ZoneInfo) -> bool:
    same_day = before.slot.astimezone(zone).date() == slot.slot.astimezone(zone).date()
    touches = slot.slot - before.slot == timedelta(minutes=15)
    return touches and same_day and (before.state, before.code) == (slot.state, slot.code)


def _gap(run: list[SlotState], zone: ZoneInfo) -> Gap:
    first = run[0].slot.astimezone(zone)
    last = (run[-1].slot + timedelta(minutes=15)).astimezone(zone)
    end = "24:00" if last.date() != first.date() else f"{last:%H:%M}"
    return Gap(first.date(), f"{first:%H:%M}", end, run[0].state, run[0].code)


def _quarters(start: datetime, end: datetime) -> Iterable[datetime]:
    instant = start.astimezone(UTC)
    while instant < end:
        yield instant
        instant += timedelta(minutes=15)


def _column(local: datetime) -> int:
    return local.hour * 4 + local.minute // 15


def _slot_look(slot: SlotState) -> str:
    if slot.state != "measured":
        return "l0" if slot.state == "zero" else slot.state
    steps = slot.steps
    return (
        f"l{max(1, sum(steps >= least for least in _STEP_LEVELS))}" if steps is not None else "l1"
    )


def _slot_text(slot: SlotState) -> str:
    if slot.state in ("measured", "zero") and slot.steps is not None:
        return words.count_of(int(slot.steps), "step")
    said = STATES.get(slot.state, slot.state)
    return f"{said}: {words.plain(slot.code).lower()}" if slot.code else said


def _levels(positive: list[float]) -> Callable[[float], int]:
    """0 for zero, else the quarter of the measured values that a value lies in, 1 to 4."""
    cuts = [positive[len(positive) * k // 4] for k in (1, 2, 3)] if positive else []
    return lambda value: 1 + sum(value >= cut for cut in cuts) if value > 0 else 0
