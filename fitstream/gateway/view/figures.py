"""Figures of measured columns: counts, spread, distribution. Pure."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from statistics import mean, pstdev
from typing import NamedTuple

from fitstream.client.data import METRICS, Quarter
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart, Kind, Series, Spark, spark

_BINS = 12
_SPARK_POINTS = 60


class ColumnFigures(NamedTuple):
    """One metric in figures; heart rates do not add up, so they have no sum."""

    metric: str
    unit: str
    slots: int
    missing: int
    mean: float
    low: float
    high: float
    total: float | None
    deviation: float
    line: Spark


def figures_of(quarters: Sequence[Quarter], slots: int) -> list[ColumnFigures]:
    """Figures of every metric that was measured in a range of `slots`."""
    found = []
    for metric in METRICS:
        values = [value for q in quarters if (value := q.value(metric)) is not None]
        if values:
            found.append(_figures(metric, values, slots))
    return found


def distribution(values: Sequence[float], metric: str, color: str) -> Chart:
    """How many slots lie in each of a dozen equal steps; zeros are counted for themselves."""
    positive = [value for value in values if value > 0]
    names = ["0"] if len(positive) < len(values) else []
    counts: list[int] = [len(values) - len(positive)] if names else []
    if positive:
        low = min(positive) if metric.startswith("heart") else 0.0
        width = _step((max(positive) - low) / _BINS)
        bins = [0] * (int((max(positive) - low) / width) + 1)
        for value in positive:
            bins[int((value - low) / width)] += 1
        names += [
            f"{words.number(low + i * width)}–{words.number(low + (i + 1) * width)}"
            for i in range(len(bins))
        ]
        counts += bins
    unit = words.unit(metric)
    return Chart(
        id="spread",
        summary=f"Distribution of {words.metric(metric).lower()} per slot, {len(values)} slots",
        x_name=words.metric(metric) + (f" ({unit})" if unit else ""),
        x=names,
        series=[Series("Slots", "bar", color, counts)],
        every=max(1, len(names) // 6),
    )


def quarter_chart(
    quarters: Sequence[Quarter], metric: str, color: str, span: tuple[date, date], zone: str
) -> Chart:
    """Every quarter hour of a few days, a gap where none was measured."""
    tz = words.known_zone(zone)
    known = {q.slot.astimezone(tz).replace(tzinfo=None): q.value(metric) for q in quarters}
    start = datetime.combine(span[0], datetime.min.time())
    days = (span[1] - span[0]).days + 1
    times = [start + timedelta(minutes=15 * index) for index in range(96 * days)]
    kind: Kind = "line" if metric.startswith("heart") else "bar"
    return Chart(
        id="line",
        summary=f"{words.metric(metric)} per quarter hour, {words.days_between(*span)}",
        x_name="Quarter hour",
        x=[f"{at:%H:%M}" for at in times],
        long_x=[f"{words.day_of(at.date())} {at:%H:%M}" for at in times],
        series=[Series(words.metric(metric), kind, color, [known.get(at) for at in times])],
        unit=words.unit(metric),
        every=16 * days,
    )


def _figures(metric: str, values: Sequence[float], slots: int) -> ColumnFigures:
    step = max(1, len(values) // _SPARK_POINTS)
    return ColumnFigures(
        metric=metric,
        unit=words.unit(metric),
        slots=len(values),
        missing=max(0, slots - len(values)),
        mean=mean(values),
        low=min(values),
        high=max(values),
        total=None if metric.startswith("heart") else sum(values),
        deviation=pstdev(values),
        line=spark([mean(values[i : i + step]) for i in range(0, len(values), step)]),
    )


def _step(rough: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 1.0
    while power > rough:
        power /= 10
    while power * 10 <= rough:
        power *= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
