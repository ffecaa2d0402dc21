"""Predictions of a customer: a fan, past ones against the truth, and how good they are."""

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Forecast, Items
from fitstream.client.forecasts import Horizon, IssuedForecast
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.customer import local_today
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.view.explaining import ExplainedView, explained_view
from fitstream.gateway.view.forecasting import HORIZONS, TARGETS, ForecastView, forecast_view
from fitstream.gateway.view.performance import (
    PastView,
    Performance,
    Strip,
    past_view,
    performance_of,
    strip_of,
)
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.words import known_zone


class ForecastPage(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast of one target and horizon, None while there is none."""

    customer: Customer
    tab: str
    targets: dict[str, str]
    target: str
    horizons: dict[str, str]
    horizon: str
    shown: ForecastView | None
    explained: ExplainedView | None
    strip: Strip | None
    past: PastView | None
    performance: Performance


async def show_forecast(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The forecast that the query names, the newest of its target and horizon by default."""
    customer = await reads.customer(request)
    target = request.query.get("target", "steps")
    target = target if target in TARGETS else "steps"
    horizon = _horizon(request)
    issued = await reads.issued_forecasts(request, target, horizon)
    found = await _found(request, issued, (target, horizon))
    shown = await _shown(request, viewer, customer, found) if found else None
    why = await reads.past_explained(request, found.id, target) if found and shown else None
    today = local_today(customer, viewer.now)
    page = ForecastPage(
        customer=customer,
        tab="forecast",
        targets=TARGETS,
        target=target,
        horizons=HORIZONS,
        horizon=horizon,
        shown=shown,
        explained=explained_view(
            why, today, shown.total.day if shown and shown.total else None, "their"
        ),
        strip=strip_of(issued.items, found.id, issued.next) if found and issued.items else None,
        past=past_view(issued.items),
        performance=performance_of(await reads.forecast_scores(request, target), target),
    )
    return html(request, "admin/forecast.html", viewer.shell("customers"), page)


def _horizon(request: web.Request) -> Horizon:
    wanted = request.query.get("horizon")
    return "672" if wanted == "672" else "today" if wanted == "today" else "96"


async def _found(
    request: web.Request, issued: Items[IssuedForecast], of: tuple[str, Horizon]
) -> Forecast | None:
    """The one the query names, if it is there; else the newest."""
    wanted = request.query.get("at", "")
    if wanted and issued.items and wanted != issued.items[0].id:
        return await reads.past_forecast(request, wanted, of[0])
    return await reads.forecast(request, *of)


async def _shown(
    request: web.Request, viewer: Viewer, customer: Customer, found: Forecast
) -> ForecastView | None:
    if not found.items:
        return None
    tz = known_zone(customer.zone)
    first, last = (found.items[i].slot.astimezone(tz).date() for i in (0, -1))
    quarters = await reads.quarters(request, customer.zone, first, last)
    days = await reads.days(request, first, last)
    return forecast_view(found, quarters, days, customer.zone, viewer.now, whose="their")
