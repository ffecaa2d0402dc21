"""A forecast as pages show it: the fan, the day's total with its range, what it rests on. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import NamedTuple

import msgspec

from fitstream.client.data import Day, Forecast, Quantiles, Quarter
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart, Series

TARGETS = {"steps": "Steps", "calories_kcal": "Calories", "heart_rate_bpm": "Heart rate"}
COLORS = {"steps": "steps", "calories_kcal": "kcal", "heart_rate_bpm": "heart"}
MODELS = {
    "weighted_climatology": "what is usual at each quarter hour of such a day",
    "climatology": "what is usual at each quarter hour of such a day",
    "transformer": "patterns that a model learned from everyone who consented",
    "convlstm": "patterns that a model learned from everyone who consented",
    "ensemble": "what is usual, and patterns that models learned from everyone who consented",
}
_DAY_SLOTS = 96
_FEW_DAYS = 7
_WORN_ENOUGH = 0.6


class Total(NamedTuple):
    """Expected total, and the range of 8 in 10 days; no range while there are too few days."""

    expected: float
    low: float | None
    high: float | None


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
    chart: Chart
    first: datetime
    last: datetime
    total: Total | None
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
    """The last 24 hours that a forecast covers, what was measured of them beside; None if empty."""
    items = found.items[-_DAY_SLOTS:]
    if not items:
        return None
    last = items[-1].slot + timedelta(minutes=15)
    return ForecastView(
        target=found.target,
        chart=fan(found.target, items, quarters, zone),
        first=items[0].slot,
        last=last,
        total=total_of(found.target, items, days),
        truth=truth_of(found.target, items, quarters),
        issued_at=found.issued_at,
        model_id=found.model_id,
        model_kind=found.model_kind,
        rests_on=rests_on(found, whose),
        data_through=found.data_through,
        is_past=last <= now,
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


def total_of(target: str, items: Sequence[Quantiles], days: Sequence[Day]) -> Total | None:
    """Sum of the means; its range is how far such days strayed from their mean before.

    Quantiles of slots do not add up to those of a day, so the days of the past tell the range.
    """
    if target.startswith("heart"):
        return None
    expected = sum(item.mean for item in items)
    totals = sorted(
        value
        for day in days
        if day.measured >= _WORN_ENOUGH * day.slots and (value := day.value(target)) is not None
    )
    usual = mean(totals) if totals else 0
    if len(totals) < _FEW_DAYS or usual <= 0:
        return Total(expected, None, None)
    low, high = (totals[round((len(totals) - 1) * share)] / usual for share in (0.1, 0.9))
    return Total(expected, expected * min(low, 1), expected * max(high, 1))


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


def _measured(
    target: str, items: Sequence[Quantiles], quarters: Sequence[Quarter]
) -> list[float | None]:
    known = {q.slot.astimezone(UTC): q.value(target) for q in quarters}
    return [known.get(item.slot.astimezone(UTC)) for item in items]


def _first_label(local: Sequence[datetime]) -> int:
    """The first full hour that a clock would mark: 0, 4, 8 and so on."""
    marks = (i for i, at in enumerate(local) if at.minute == 0 and at.hour % 4 == 0)
    return next(marks, 0)
