"""The rest of today in words: what is still to come, and what the day will have come to. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from fitstream.client.data import Forecast
from fitstream.client.forecasts import Explained
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart
from fitstream.gateway.view.explaining import sentence
from fitstream.gateway.view.forecasting import TARGETS, fan

_NEXT_HOUR = 4
_RATES = ("heart_rate_bpm",)


class Outlook(NamedTuple):
    """One line: `Steps by midnight`, `8,200`, `between 7,100 and 9,900`."""

    name: str
    value: str
    span: str


class RemainingView(msgspec.Struct, frozen=True, kw_only=True):
    """The rest of today; `since` is the instant up to which the day is known."""

    sentence: str
    outlooks: list[Outlook]
    chart: Chart
    since: datetime
    is_stale: bool


def remaining_view(
    found: Sequence[Forecast], why: Explained | None, zone: str, now: datetime
) -> RemainingView | None:
    """From the forecasts of today, steps first; None where none tells of today."""
    today = now.astimezone(words.known_zone(zone)).date()
    told = [each for each in found if each.totals and each.totals[0].day == today and each.items]
    if not told:
        return None
    main = told[0]
    explained = why is not None and why.items and why.items[0].day == today
    return RemainingView(
        sentence=sentence(why.items[0], today, "today") if why and explained else "",
        outlooks=[outlook for each in told for outlook in _outlooks(each)],
        chart=fan(main.target, main.items, [], zone),
        since=main.items[0].slot,
        is_stale=now - main.items[0].slot > timedelta(hours=2),
    )


def _outlooks(found: Forecast) -> list[Outlook]:
    name, unit = TARGETS.get(found.target, words.metric(found.target)), words.unit(found.target)
    if found.target in _RATES:
        near = found.items[:_NEXT_HOUR]
        low, high = min(item.q10 for item in near), max(item.q90 for item in near)
        value = sum(item.q50 for item in near) / len(near)
        return [_line(f"{name} in the next hour", value, (low, high), unit)]
    total = found.totals[0]
    return [_line(f"{name} by midnight", total.mean, (total.low, total.high), unit)]


def _line(name: str, value: float, span: tuple[float, float], unit: str) -> Outlook:
    low, high = (words.number(each, 0) for each in span)
    text = words.number(value, 0) + (f" {unit}" if unit else "")
    return Outlook(name, text, f"8 in 10 times between {low} and {high}")
