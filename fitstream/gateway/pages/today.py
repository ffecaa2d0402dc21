"""Today, or another day: steps by the hour against the usual day, heart, calories, score."""

import asyncio
from datetime import date, timedelta

import msgspec
from aiohttp import web

from fitstream.client.data import Forecast, HoursOfDay
from fitstream.client.forecasts import Explained
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.pages.forecast import or_none
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart
from fitstream.gateway.view.daily import (
    ScoreView,
    day_total,
    greeting,
    missing,
    score_view,
    verdict,
)
from fitstream.gateway.view.forecasting import TARGETS
from fitstream.gateway.view.remaining import RemainingView, remaining_view
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.weekly import heart_chart, hours_chart


class TodayPage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page."""

    heading: str
    day: date
    is_today: bool
    before: date
    after: date | None
    verdict: str
    score: ScoreView | None
    steps: Chart | None
    steps_total: float | None
    heart: Chart | None
    heart_rate: float | None
    kcal: Chart | None
    kcal_total: float | None
    missing: list[str]
    is_new: bool
    has_history: bool
    remaining: RemainingView | None


async def show_today(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The day of the query, today by default."""
    local = viewer.now.astimezone(words.known_zone(viewer.customer.zone))
    day = _day(request, local.date())
    is_today = day == local.date()
    found = await viewer.client.hours(viewer.customer.id, day)
    devices = await viewer.client.devices(viewer.customer.id)
    through = local.hour if is_today else None
    is_new = found.last_slot is None and all(device.removed_at for device in devices)
    page = TodayPage(
        heading=greeting(local.hour) if is_today else words.long_day(day),
        day=day,
        is_today=is_today,
        before=day - timedelta(days=1),
        after=day + timedelta(days=1) if not is_today else None,
        verdict=verdict(found, through),
        score=score_view(found.score),
        steps=_chart(found, "steps", "steps"),
        steps_total=day_total(found.items, "steps"),
        heart=_heart(found),
        heart_rate=_heart_rate(found, is_today),
        kcal=_chart(found, "calories_kcal", "kcal"),
        kcal_total=day_total(found.items, "calories_kcal"),
        missing=missing(found, devices, viewer.now) if is_today and not is_new else [],
        is_new=is_new,
        has_history=bool(found.items or found.usual or found.last_slot),
        remaining=await _remaining(viewer) if is_today else None,
    )
    return html(request, "pages/today.html", viewer.shell("today"), page)


async def _remaining(viewer: Viewer) -> RemainingView | None:
    """What the newest forecasts say of the rest of today; None without any."""
    client, who = viewer.client, viewer.customer.id
    asked = [client.forecast(who, target, "today") for target in TARGETS]
    *found, why = await asyncio.gather(
        *(or_none(call) for call in asked),
        or_none(client.forecast_explained(who, "steps", "today")),
    )
    told = [each for each in found if isinstance(each, Forecast)]
    explained = why if isinstance(why, Explained) else None
    return remaining_view(told, explained, viewer.customer.zone, viewer.now)


def _chart(found: HoursOfDay, metric: str, color: str) -> Chart | None:
    if day_total(found.items, metric) is None:
        return None
    return hours_chart(found.items, found.usual, f"{found.day:%A}", metric, color)


def _heart(found: HoursOfDay) -> Chart | None:
    beats = [quarter for quarter in found.quarters if quarter.heart_rate_bpm is not None]
    return heart_chart(beats, beats[0].slot, found.zone) if beats else None


def _heart_rate(found: HoursOfDay, is_today: bool) -> float | None:
    """The newest one today, the mean of another day."""
    beats = [q.heart_rate_bpm for q in found.quarters if q.heart_rate_bpm is not None]
    if not beats:
        return None
    return beats[-1] if is_today else sum(beats) / len(beats)


def _day(request: web.Request, today: date) -> date:
    try:
        return min(date.fromisoformat(request.query.get("day", "")), today)
    except ValueError:
        return today
