"""Weeks of the customer: a report in plain words, day by day, and the picture of all slots."""

from datetime import timedelta

import msgspec
from aiohttp import web

from fitstream.client.data import DailySummary, Week
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart
from fitstream.gateway.view.grid import Grid, week_grid
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.weekly import WeekDates, report, week_chart, week_dates

_LISTED = 12
_SUMMARY_DAYS = 27


class Listed(msgspec.Struct, frozen=True):
    """A week in the list."""

    week: Week
    dates: WeekDates


class WeeksPage(msgspec.Struct, frozen=True, kw_only=True):
    """The list, and one week in full; None while there is none."""

    listed: list[Listed]
    chosen: Listed | None
    report: list[str]
    chart: Chart | None
    grid: Grid | None
    summaries: list[DailySummary]
    first: str | None
    following: str | None


async def show_weeks(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The week of the path, the newest by default."""
    after = request.query.get("after", "")
    found = await viewer.client.weeks(viewer.customer.id, after, _LISTED)
    zone = viewer.customer.zone
    listed = [Listed(week, week_dates(week, zone)) for week in found.items]
    name = request.match_info.get("week") or (listed[0].week.week if listed else "")
    base = WeeksPage(
        listed=listed,
        chosen=None,
        report=[],
        chart=None,
        grid=None,
        summaries=[],
        first="/weeks" if after else None,
        following=f"/weeks?after={found.next}" if found.next else None,
    )
    page = await (_with_week(viewer, base, name) if name else _without_weeks(viewer, base))
    return html(request, "pages/weeks.html", viewer.shell("weeks"), page)


async def _without_weeks(viewer: Viewer, page: WeeksPage) -> WeeksPage:
    """Whoever has summaries of days only sees the last ones."""
    today = viewer.now.astimezone(words.known_zone(viewer.customer.zone)).date()
    first = today - timedelta(days=_SUMMARY_DAYS)
    found = await viewer.client.daily_summaries(viewer.customer.id, first, today)
    return msgspec.structs.replace(page, summaries=found)


async def _with_week(viewer: Viewer, page: WeeksPage, name: str) -> WeeksPage:
    client, customer = viewer.client, viewer.customer
    week = await client.week(customer.id, name)
    slots = await client.week_slots(customer.id, name)
    dates = week_dates(week, customer.zone)
    both = await client.days(customer.id, dates.first - timedelta(days=7), dates.last)
    today = viewer.now.astimezone(words.known_zone(customer.zone)).date()
    days = [day for day in both if dates.first <= day.day]
    over = [day for day in days if day.day < today]
    before = [day for day in both if day.day < dates.first]
    has_steps = any(day.steps is not None for day in days)
    return msgspec.structs.replace(
        page,
        chosen=Listed(week, dates),
        report=report(over or days[:1], before),
        chart=week_chart(days, before) if has_steps else None,
        grid=week_grid(slots),
        summaries=await client.daily_summaries(customer.id, dates.first, dates.last),
    )
