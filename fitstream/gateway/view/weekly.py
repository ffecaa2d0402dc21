"""Days and weeks of one customer as charts and sentences. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from fitstream.client.data import Day, Hour, Quarter, Week
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart, Kind, Series

_WHY = {
    "late": "late data",
    "corrected": "a correction",
    "deleted": "a deletion",
    "device_priority": "device priority",
}
_RUNS_SHOWN = 3
_BEATS = 40  # where an axis of heart rates begins, unless one lies below


class WeekDates(NamedTuple):
    """First and last local day of a week, and both in words."""

    first: date
    last: date
    text: str


def week_dates(week: Week, zone: str) -> WeekDates:
    """The civil days of a week."""
    tz = words.known_zone(zone)
    first = week.start.astimezone(tz).date()
    last = (week.end - timedelta(minutes=15)).astimezone(tz).date()
    return WeekDates(first, last, words.days_between(first, last))


def days_chart(days: Sequence[Day], metric: str, color: str, chart_id: str = "days") -> Chart:
    """One value per day: bars for what adds up, a line for a rate."""
    kind: Kind = "line" if metric.startswith("heart") else "bar"
    values = [day.value(metric) for day in days]
    known = [value for value in values if value is not None]
    mean = f", {words.number(sum(known) / len(known))} a day on average" if known else ""
    return Chart(
        id=chart_id,
        summary=f"{words.metric(metric)} per day{mean}",
        x_name="Day",
        x=[f"{day.day:%a}" if len(days) <= 8 else f"{day.day.day} {day.day:%b}" for day in days],
        long_x=[words.day_of(day.day) for day in days],
        series=[Series(words.metric(metric), kind, color, values)],
        unit=words.unit(metric),
        every=1 if len(days) <= 8 else 7 if len(days) <= 35 else 14,
        least=_BEATS if kind == "line" and known and min(known) >= _BEATS else None,
    )


def week_chart(days: Sequence[Day], before: Sequence[Day]) -> Chart:
    """Steps of each day, those of the week before as a dashed line."""
    values = [day.steps for day in days]
    known = [value for value in values if value is not None]
    series = [Series("Steps", "bar", "steps", values)]
    earlier = {day.day.weekday(): day.steps for day in before if day.worn}
    if earlier:
        line = [earlier.get(day.day.weekday()) for day in days]
        series.append(Series("Week before", "dash", "mute", line))
    return Chart(
        id="week",
        summary=f"Steps per day, {words.number(sum(known))} in all",
        x_name="Day",
        x=[f"{day.day:%a}" for day in days],
        long_x=[words.day_of(day.day) for day in days],
        series=series,
        size="low",
    )


def hours_chart(
    items: Sequence[Hour], usual: Sequence[Hour], weekday: str, metric: str, color: str
) -> Chart:
    """Bars by the hour, the usual day as a dashed line."""
    now = {hour.hour: hour.value(metric) for hour in items}
    before = {hour.hour: hour.value(metric) for hour in usual}
    total = words.number(sum(value for value in now.values() if value is not None))
    name = words.metric(metric)
    series = [Series(name, "bar", color, [now.get(hour) for hour in range(24)])]
    if before:
        line = [before.get(hour) for hour in range(24)]
        series.append(Series(f"Usual {weekday}", "dash", "mute", line))
    return Chart(
        id=f"hours-{metric}",
        summary=f"{name} by hour, {total} so far",
        x_name="Hour",
        x=[str(hour) for hour in range(24)],
        long_x=[f"{hour:02d}:00–{hour + 1:02d}:00" for hour in range(24)],
        series=series,
        unit=words.unit(metric),
        size="low",
        every=6,
    )


def heart_chart(quarters: Sequence[Quarter], start: datetime, zone: str) -> Chart:
    """Heart rate over one day, a gap where none was measured."""
    tz = words.known_zone(zone)
    known = {q.slot.astimezone(tz).strftime("%H:%M"): q.heart_rate_bpm for q in quarters}
    times = [f"{slot // 4:02d}:{slot % 4 * 15:02d}" for slot in range(96)]
    values = [known.get(time) for time in times]
    measured = [value for value in values if value is not None]
    span = (
        f", {words.number(min(measured), 0)} to {words.number(max(measured), 0)} bpm"
        if measured
        else ""
    )
    day = start.astimezone(tz).date()
    return Chart(
        id="heart",
        summary=f"Heart rate of {words.day_of(day)}{span}",
        x_name="Quarter hour",
        x=times,
        series=[Series("Heart rate", "line", "heart", values)],
        unit="bpm",
        size="low",
        every=24,
        least=_BEATS if not measured or min(measured) >= _BEATS else None,
    )


def change_words(changed: Mapping[str, Any], zone: str) -> list[str]:
    """What a version changed: `12 slots added`, and the first few runs of slots."""
    said = [
        f"{words.count_of(int(changed.get(kind, 0)), 'slot')} {kind}"
        for kind in ("added", "corrected", "removed")
        if changed.get(kind)
    ]
    tz = words.known_zone(zone)
    for run in list(changed.get("slots", ()))[:_RUNS_SHOWN]:
        start, end = (datetime.fromisoformat(run[name]).astimezone(tz) for name in ("from", "to"))
        what = run["change"] + _because(run)
        said.append(f"{words.day_of(start.date())} {start:%H:%M}–{end:%H:%M} {what}")
    return said


def _because(run: Mapping[str, Any]) -> str:
    """Why, where the change alone does not say it; older versions have no reason."""
    why = str(run.get("why", run["change"]))
    usual = {"added": "late", "removed": "deleted", "corrected": "corrected"}
    return "" if why in (run["change"], usual[run["change"]]) else f": {_WHY[why]}"


def compared(value: float, usual: float, what: str) -> str:
    """`A little above your usual Monday`."""
    if usual <= 0:
        return f"Nothing to compare with your {what} yet"
    ratio = value / usual
    steps = (
        (0.6, "Well below"),
        (0.9, "A little below"),
        (1.1, "Close to"),
        (1.4, "A little above"),
    )
    said = next((text for limit, text in steps if ratio < limit), "Well above")
    return f"{said} your {what}"


def report(days: Sequence[Day], before: Sequence[Day]) -> list[str]:
    """A week in sentences: total, best day, against the same days of the week before, activity."""
    worn = [day for day in days if day.worn and day.steps is not None]
    if not worn:
        return ["Nothing was measured in this week."]
    total = sum(day.steps or 0 for day in worn)
    best = max(worn, key=lambda day: day.steps or 0)
    mean = total / len(worn)
    said = [f"{words.number(total)} steps on {best.day:%A}."]
    if len(worn) > 1:
        said = [
            f"{words.number(total)} steps on {words.count_of(len(worn), 'day')}, "
            f"{words.number(mean, 0)} a day. Your best day was {best.day:%A} with "
            f"{words.number(best.steps)}."
        ]
    weekdays = {day.day.weekday() for day in worn}
    earlier = [day.steps for day in before if day.steps and day.day.weekday() in weekdays]
    if earlier:
        said.append(_against(mean, sum(earlier) / len(earlier)))
    active = sum((day.moderate_min or 0) + (day.vigorous_min or 0) for day in worn)
    if active:
        said.append(
            f"You were moderately or vigorously active for {words.number(active, 0)} minutes."
        )
    return said


def _against(mean: float, before: float) -> str:
    change = round(100 * (mean / before - 1))
    if abs(change) < 3:
        return "That is as much as on the same days of the week before."
    more = "more" if change > 0 else "less"
    return f"That is {abs(change)} % {more} than on the same days of the week before."
