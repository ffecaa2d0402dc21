"""The forecast with its range, why it is so, and how good the ones before were."""

import asyncio
from collections.abc import Awaitable
from datetime import date, timedelta
from typing import TypeVar

import msgspec
from aiohttp import web

from fitstream.client.data import Forecast, Quarter
from fitstream.client.forecasts import Explained, Horizon
from fitstream.errors import NotFound
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.explaining import ExplainedView, explained_view
from fitstream.gateway.view.forecasting import TARGETS, ForecastView, forecast_view
from fitstream.gateway.view.performance import PastView, past_view
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.words import known_zone

T = TypeVar("T")
_DAYS = 7
_PAST = 14
SWITCH: dict[Horizon, str] = {"96": "Next day", "672": "Next week"}


class ForecastPage(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of one target and horizon, None while there is none."""

    targets: dict[str, str]
    target: str
    horizons: dict[Horizon, str]
    horizon: Horizon
    shown: ForecastView | None
    explained: ExplainedView | None
    past: PastView | None


async def show_forecast(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The newest forecast of the target and horizon in the query."""
    target = request.query.get("target", "steps")
    target = target if target in TARGETS else "steps"
    horizon: Horizon = "672" if request.query.get("horizon") == "672" else "96"
    client, who = viewer.client, viewer.customer.id
    found, why, past = await asyncio.gather(
        or_none(client.forecast(who, target, horizon)),
        or_none(client.forecast_explained(who, target, horizon)),
        client.forecasts(who, target, horizon, limit=_PAST),
    )
    shown = await _shown(viewer, found) if found is not None and found.items else None
    page = ForecastPage(
        targets=TARGETS,
        target=target,
        horizons=SWITCH,
        horizon=horizon,
        shown=shown,
        explained=_explained(why, shown, _today(viewer)),
        past=past_view(past.items) if shown else None,
    )
    return html(request, "pages/forecast.html", viewer.shell("forecast"), page)


async def or_none(call: Awaitable[T]) -> T | None:
    """What a call answers; None where there is no such thing."""
    try:
        return await call
    except NotFound:
        return None


def _explained(
    why: Explained | None, shown: ForecastView | None, today: date
) -> ExplainedView | None:
    if why is None or shown is None or shown.total is None:
        return None
    return explained_view(why, today, shown.total.day)


async def _shown(viewer: Viewer, found: Forecast) -> ForecastView | None:
    client, customer = viewer.client, viewer.customer
    quarters: list[Quarter] = []
    if found.horizon == "96":
        end = found.items[-1].slot + timedelta(minutes=15)
        span = (found.items[0].slot.isoformat(), end.isoformat())
        rows = await client.samples(customer.id, span, combined="1", limit="500")
        quarters = [msgspec.convert(row, Quarter) for row in rows.items]
    today = _today(viewer)
    days = await client.days(customer.id, today - timedelta(days=_DAYS), today - timedelta(days=1))
    return forecast_view(found, quarters, days, customer.zone, viewer.now)


def _today(viewer: Viewer) -> date:
    return viewer.now.astimezone(known_zone(viewer.customer.zone)).date()
