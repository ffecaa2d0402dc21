"""The forecast with its range, and what was measured of it."""

from datetime import timedelta

import msgspec
from aiohttp import web

from fitstream.client.data import Forecast, Quarter
from fitstream.errors import NotFound
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.forecasting import TARGETS, ForecastView, forecast_view
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.words import known_zone

_DAYS = 28


class ForecastPage(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of one target, None while there is none."""

    targets: dict[str, str]
    target: str
    shown: ForecastView | None


async def show_forecast(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The newest forecast of the target in the query."""
    target = request.query.get("target", "steps")
    target = target if target in TARGETS else "steps"
    shown = None
    try:
        found = await viewer.client.forecast(viewer.customer.id, target)
    except NotFound:
        found = None
    if found is not None and found.items:
        shown = await _shown(viewer, found)
    page = ForecastPage(targets=TARGETS, target=target, shown=shown)
    return html(request, "pages/forecast.html", viewer.shell("forecast"), page)


async def _shown(viewer: Viewer, found: Forecast) -> ForecastView | None:
    client, customer = viewer.client, viewer.customer
    end = found.items[-1].slot + timedelta(minutes=15)
    span = (found.items[0].slot.isoformat(), end.isoformat())
    rows = await client.samples(customer.id, span, combined="1", limit="500")
    quarters = [msgspec.convert(row, Quarter) for row in rows.items]
    today = viewer.now.astimezone(known_zone(customer.zone)).date()
    days = await client.days(customer.id, today - timedelta(days=_DAYS), today - timedelta(days=1))
    return forecast_view(found, quarters, days, customer.zone, viewer.now)
