"""The forecast of a customer as a fan: one target at a time, with what was measured of it."""

from datetime import timedelta

import msgspec
from aiohttp import web

from fitstream.client.data import Customer
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.customer import local_today
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.view.forecasting import TARGETS, ForecastView, forecast_view
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.words import known_zone

_DAYS = 28


class ForecastPage(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of one target, None while there is none."""

    customer: Customer
    tab: str
    targets: dict[str, str]
    target: str
    shown: ForecastView | None


async def show_forecast(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The newest forecast of the target in the query."""
    customer = await reads.customer(request)
    target = request.query.get("target", "steps")
    target = target if target in TARGETS else "steps"
    found = await reads.forecast(request, target)
    shown = None
    if found is not None and found.items:
        tz = known_zone(customer.zone)
        first, last = (found.items[i].slot.astimezone(tz).date() for i in (0, -1))
        quarters = await reads.quarters(request, customer.zone, first, last)
        today = local_today(customer, viewer.now)
        days = await reads.days(request, today - timedelta(days=_DAYS), today - timedelta(days=1))
        shown = forecast_view(found, quarters, days, customer.zone, viewer.now, whose="their")
    page = ForecastPage(
        customer=customer, tab="forecast", targets=TARGETS, target=target, shown=shown
    )
    return html(request, "admin/forecast.html", viewer.shell("customers"), page)
