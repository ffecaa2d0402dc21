"""Any metric of a customer over any range: line, heat map, distribution, figures."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
from aiohttp import web

from fitstream.client.data import METRICS, Customer, Quarter
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.customer import last_day, local_today
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart
from fitstream.gateway.view.figures import ColumnFigures, distribution, figures_of, quarter_chart
from fitstream.gateway.view.forecasting import COLORS
from fitstream.gateway.view.grid import Grid, metric_grid
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.weekly import days_chart

_DAYS = 28
_DAYS_MAX = 92
_DAYS_OF_QUARTERS = 3


class Asked(NamedTuple):
    """What the form asks for, and what was wrong with it."""

    metric: str
    first: date
    last: date
    error: str = ""


class ExplorePage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page."""

    customer: Customer
    tab: str
    metrics: list[str]
    asked: Asked
    line: Chart | None
    grid: Grid | None
    spread: Chart | None
    figures: list[ColumnFigures]
    slots: int


async def show_explore(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The page for the metric and range of the query."""
    customer = await reads.customer(request)
    newest = (await reads.weeks(request, "")).items[:1]
    last = last_day(customer, newest, local_today(customer, viewer.now))
    asked = asked_for(dict(request.query), last)
    quarters = await reads.quarters(request, customer.zone, asked.first, asked.last)
    values = [value for q in quarters if (value := q.value(asked.metric)) is not None]
    color = COLORS.get(asked.metric, "sleep" if asked.metric == "sleep_min" else "accent")
    line: Chart | None = None
    if values and (asked.last - asked.first).days < _DAYS_OF_QUARTERS:
        line = quarter_chart(
            quarters, asked.metric, color, (asked.first, asked.last), customer.zone
        )
    elif values:
        days = await reads.days(request, asked.first, asked.last)
        line = days_chart(days, asked.metric, color, "line")
    page = ExplorePage(
        customer=customer,
        tab="explore",
        metrics=list(METRICS),
        asked=asked,
        line=line,
        grid=_grid(quarters, asked, customer.zone) if values else None,
        spread=distribution(values, asked.metric, color) if values else None,
        figures=figures_of(quarters, _slots(asked)),
        slots=len(quarters),
    )
    return html(request, "admin/explore.html", viewer.shell("customers"), page)


def asked_for(query: dict[str, str], last: date) -> Asked:
    """The metric and range of the query, mended where they make no sense."""
    metric = query.get("metric", "steps")
    metric = metric if metric in METRICS else "steps"
    end = _date(query.get("to", "")) or last
    start = _date(query.get("from", "")) or end - timedelta(days=_DAYS - 1)
    if start > end:
        return Asked(metric, end, end, "The first day lies after the last; this shows the last.")
    if (end - start).days >= _DAYS_MAX:
        start = end - timedelta(days=_DAYS_MAX - 1)
        return Asked(metric, start, end, f"At most {_DAYS_MAX} days fit; these are the last ones.")
    return Asked(metric, start, end)


def _grid(quarters: Sequence[Quarter], asked: Asked, zone: str) -> Grid:
    """The heat map of the last four weeks of the range: more rows than that nobody reads."""
    first = max(asked.first, asked.last - timedelta(days=_DAYS - 1))
    tz = words.known_zone(zone)
    shown = [q for q in quarters if q.slot.astimezone(tz).date() >= first]
    return metric_grid(shown, asked.metric, (first, asked.last), zone)


def _slots(asked: Asked) -> int:
    return ((asked.last - asked.first).days + 1) * 96


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
