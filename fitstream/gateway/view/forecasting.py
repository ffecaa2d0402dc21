"""A forecast as pages show it: the fan, the day's total with its range, what it rests on. Pure."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import msgspec

from fitstream.client.data import Day, DayTotal, Forecast, Quantiles, Quarter
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart, Series

TARGETS = {"steps": "Steps", "calories_kcal": "Calories", "heart_rate_bpm": "Heart rate"}
COLORS = {"steps": "steps", "calories_kcal": "kcal", "heart_rate_bpm": "heart"}
MODELS = {
    "weighted_climatology": "what is usual at each quarter hour of such a day",
    "climatology": "what is usual at each quarter hour of such a day",
    "transformer": "patterns that a model learned from everyone who consented",
    "convlstm": "patterns that a model learned from everyone who consented",
    "mixture": "what is usual at each quarter hour of such a day, seen in several ways",
    "ensemble": "what is usual, and patterns that models learned from everyone who consented",
}
HORIZONS = {"96": "Next day", "672": "Next week", "today": "Rest of today"}
_DAY_SLOTS = 96
_FEW_DAYS = 7
_WORN_ENOUGH = 0.6


class Total(NamedTuple):
    """What a local day is expected to come to, and the range of 8 in 10 such days."""

    day: date
    expected: float
    low: float
    high: float


class Truth(NamedTuple):
    """What was measured of a forecast's slots, beside what it said of the same slots.

    `inside` counts slots within the range of 8 in 10.
    """

    slots: int
    inside: int
    measured: float
    expected: float


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a forecast page says."""

    target: str
    horizon: str
    chart: Chart
    first: datetime
    last: datetime
    total: Total | None
    certainty: str
    truth: Truth | None
    issued_at: datetime
    model_id: str
    model_kind: str
    rests_on: str
    data_through: datetime | None
    is_past: bool


def forecast_view(
    found: Forecast,
    quarters: Sequence[Quarter],
    days: Sequence[Day],
    zone: str,
    now: datetime,
    whose: str = "your",
) -> ForecastView | None:
    """What a forecast says, with what was measured of it beside; None if it is empty.

    A next day is shown by its last 24 hours, a next week by its days; `days` are measured ones.
    """
    items = found.items[-_DAY_SLOTS:] if found.horizon == "96" else found.items
    if not items:
        return None
    last = items[-1].slot + timedelta(minutes=15)
    is_week = found.horizon == "672"
    return ForecastView(
        target=found.target,
        horizon=found.horizon,
        chart=week(found, days) if is_week else fan(found.target, items, quarters, zone),
        first=items[0].slot,
        last=last,
        total=total_of(found),
        certainty=certainty(found, whose),
        truth=None if is_week else truth_of(found.target, items, quarters),
        issued_at=found.issued_at,
        model_id=found.model_id,
        model_kind=found.model_kind,
        rests_on=rests_on(found, whose),
        data_through=found.data_through,
        is_past=last <= now,
    )


def week(found: Forecast, days: Sequence[Day]) -> Chart:
    """Expected total and range of each day, and what was measured of those that are over."""
    totals = found.totals
    name = TARGETS.get(found.target, words.metric(found.target))
    measured = _day_values(found.target, totals, days)
    color = COLORS.get(found.target, "accent")
    series = [
        Series("80 % range", "band", "band", [t.high for t in totals], [t.low for t in totals]),
        Series("Expected", "line", color, [t.mean for t in totals]),
    ]
    if any(value is not None for value in measured):
        series.append(Series("Measured", "mark", "ink", measured))
    most = max(totals, key=lambda total: total.mean, default=None)
    return Chart(
        id="week",
        summary=f"{name} expected per day" + (f", most on {most.day:%A}" if most else ""),
        x_name="Day",
        x=[f"{total.day:%a}" for total in totals],
        long_x=[words.day_of(total.day) for total in totals],
        series=series,
        unit=words.unit(found.target) or name.lower(),
        size="tall",
    )


def fan(target: str, items: Sequence[Quantiles], quarters: Sequence[Quarter], zone: str) -> Chart:
    """Range, median and what was measured, per quarter hour."""
    tz = words.known_zone(zone)
    local = [item.slot.astimezone(tz) for item in items]
    measured = _measured(target, items, quarters)
    color = COLORS.get(target, "accent")
    series = [
        Series("80 % range", "band", "band", [i.q90 for i in items], [i.q10 for i in items]),
        Series("Median", "line", color, [i.q50 for i in items]),
    ]
    if any(value is not None for value in measured):
        series.append(Series("Measured", "line", "ink", measured))
    peak = max(range(len(items)), key=lambda index: items[index].mean)
    name = TARGETS.get(target, words.metric(target))
    return Chart(
        id="fan",
        summary=f"{name} forecast per quarter hour, highest around {local[peak]:%H:%M}",
        x_name="Quarter hour",
        x=[f"{at:%H:%M}" for at in local],
        long_x=[f"{words.day_of(at.date())} {at:%H:%M}" for at in local],
        series=series,
        unit=words.unit(target) or name.lower(),
        size="tall",
        every=16,
        first=_first_label(local),
    )


def total_of(found: Forecast) -> Total | None:
    """The total of the day of which most lies in the forecast, of a week that of its first day;
    None where no day does."""
    days = found.totals[:1] if found.horizon == "672" else found.totals
    best = max(days, key=lambda total: total.slots, default=None)
    return Total(best.day, best.mean, best.low, best.high) if best else None


def certainty(found: Forecast, whose: str = "your") -> str:
    """How sure it can be, in plain words; empty once there are days enough."""
    known = min((total.own_days for total in found.totals), default=_FEW_DAYS)
    if known >= _FEW_DAYS:
        return ""
    if found.basis == "cohort":
        return f"Nothing can be told from {whose} own days yet, so the range is wide."
    return f"It knows only {words.count_of(known, 'day')} of {whose} own yet; the range is wide."


def truth_of(target: str, items: Sequence[Quantiles], quarters: Sequence[Quarter]) -> Truth | None:
    """How the forecast did so far; None while nothing of it was measured."""
    pairs = [
        (item, value)
        for item, value in zip(items, _measured(target, items, quarters), strict=True)
        if value is not None
    ]
    if not pairs:
        return None
    scale = len(pairs) if target.startswith("heart") else 1  # a rate has a mean, not a sum
    return Truth(
        slots=len(pairs),
        inside=sum(item.q10 <= value <= item.q90 for item, value in pairs),
        measured=sum(value for _, value in pairs) / scale,
        expected=sum(item.mean for item, _ in pairs) / scale,
    )


def rests_on(found: Forecast, whose: str = "your") -> str:
    """What the forecast knows, in plain words; `whose` is who reads them: your, or their."""
    if found.basis == "own history":
        known = f"{whose} own history"
    elif found.basis == "cohort":
        known = f"the days of everyone who consented, because {whose} own are too few yet"
    else:
        known = found.basis or f"{whose} history"
    how = MODELS.get(found.model_kind)
    week = f", {words.week_of(found.based_on.week)} included" if found.based_on else ""
    return f"It rests on {known}{week}" + (f": {how}." if how else ".")


def _day_values(target: str, totals: Sequence[DayTotal], days: Sequence[Day]) -> list[float | None]:
    """Totals of whole days that were worn for long enough."""
    known = {
        day.day: day.value(target) for day in days if day.measured >= _WORN_ENOUGH * _DAY_SLOTS
    }
    return [known.get(total.day) for total in totals]


def _measured(
    target: str, items: Sequence[Quantiles], quarters: Sequence[Quarter]
) -> list[float | None]:
    known = {q.slot.astimezone(UTC): q.value(target) for q in quarters}
    return [known.get(item.slot.astimezone(UTC)) for item in items]


def _first_label(local: Sequence[datetime]) -> int:
    """The first full hour that a clock would mark: 0, 4, 8 and so on."""
    marks = (i for i, at in enumerate(local) if at.minute == 0 and at.hour % 4 == 0)
    return next(marks, 0)
