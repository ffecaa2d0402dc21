"""What administrators' pages show, read through the views that answer `/v1`.

So a page and the API can never disagree. Must not hold SQL or rules of its own.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import TypeVar

import msgspec
from aiohttp import web

from fitstream.client.data import (
    Customer,
    DailySummary,
    Day,
    Device,
    Forecast,
    Items,
    Quarter,
    Week,
    WeekSlots,
)
from fitstream.client.forecasts import Explained, ForecastScores, Horizon, IssuedForecast
from fitstream.client.operations import (
    DeadLetter,
    DeadLetters,
    Job,
    Model,
    ModelCard,
    Pipeline,
    Run,
)
from fitstream.clock import day_bounds, slot_start
from fitstream.combined import combine
from fitstream.errors import NotFound
from fitstream.gateway.api import customers as customer_views
from fitstream.gateway.api import daily, forecasts, readings, system, training
from fitstream.gateway.api import dead_letters as letter_views
from fitstream.gateway.api import devices as device_views
from fitstream.gateway.api import forecast_scores as forecast_scores_view
from fitstream.gateway.api import jobs as job_views
from fitstream.gateway.api import models as model_views
from fitstream.gateway.api import weeks as week_views
from fitstream.gateway.keys import REPO
from fitstream.merge import unscaled
from fitstream.repo import customers as customer_rows
from fitstream.repo import samples

T = TypeVar("T")
View = Callable[[web.Request], Awaitable[web.Response]]


async def ask(request: web.Request, view: View, kind: type[T], /, **query: str | None) -> T:
    """What `view` answers to this path with `query`, as `kind`; its errors pass through."""
    given = {name: value for name, value in query.items() if value}
    asked = request.clone(method="GET", rel_url=request.rel_url.with_query(given))
    body = (await view(asked)).body
    return msgspec.json.decode(body if isinstance(body, bytes) else b"null", type=kind)


async def pipeline(request: web.Request) -> Pipeline:
    """Counts, lag and freshness of every hop."""
    found = msgspec.json.encode(await system.overview(request))
    return msgspec.json.decode(found, type=Pipeline)


async def customer(request: web.Request) -> Customer:
    """The customer of the path; raises NotFound."""
    return await ask(request, customer_views.get_customer, Customer)


async def customers(request: web.Request, **query: str) -> Items[Customer]:
    """A page of customers; takes `search`, `filter`, `sort`, `after`."""
    view = customer_views.list_customers
    return await ask(request, view, Items[Customer], limit="50", **query)


async def devices(request: web.Request) -> list[Device]:
    """Devices of the customer, best priority first."""
    return (await ask(request, device_views.list_devices, Items[Device], limit="500")).items


async def days(request: web.Request, first: date, last: date) -> list[Day]:
    """Totals per local day."""
    span = {"from": first.isoformat(), "to": last.isoformat()}
    return (await ask(request, readings.list_days, Items[Day], **span)).items


async def daily_summaries(request: web.Request, first: date, last: date) -> list[DailySummary]:
    """What days came to as a whole, where only that was sent."""
    span = {"from": first.isoformat(), "to": last.isoformat()}
    return (await ask(request, daily.list_summaries, Items[DailySummary], **span)).items


async def sample_rows(
    request: web.Request, span: tuple[str, str], after: str
) -> Items[dict[str, object]]:
    """Raw rows as the devices sent them."""
    query = {"from": span[0], "to": span[1], "after": after, "limit": "48"}
    return await ask(request, readings.list_samples, Items[dict[str, object]], **query)


async def quarters(request: web.Request, zone: str, first: date, last: date) -> list[Quarter]:
    """One entry per measured slot over all devices, of local days with both ends in."""
    span = (day_bounds(first, zone)[0], day_bounds(last, zone)[1])
    async with request.app[REPO].connection() as db:
        found = await customer_rows.get_customer(db, request.match_info["customer"])
        slots = combine(await samples.rows_of(db, found.customer_no, span))
    return [
        Quarter(slot=slot_start(slot.slot), device_id=slot.device_id, **unscaled(slot.values))
        for slot in slots
        if slot.is_measured
    ]


async def weeks(request: web.Request, after: str) -> Items[Week]:
    """Weeks of the customer, newest first."""
    return await ask(request, week_views.list_weeks, Items[Week], after=after, limit="12")


async def all_weeks(request: web.Request) -> Items[Week]:
    """The newest hundred weeks, to go from one to the next."""
    return await ask(request, week_views.list_weeks, Items[Week], limit="100")


async def week(request: web.Request) -> Week:
    """The week of the path with its versions."""
    return await ask(request, week_views.get_week, Week)


async def week_slots(request: web.Request) -> WeekSlots:
    """One state per slot of the week of the path."""
    return await ask(request, week_views.week_slots, WeekSlots)


async def forecast(request: web.Request, target: str, horizon: Horizon = "96") -> Forecast | None:
    """The latest forecast of a target, None when there is none."""
    about = {"target": target, "horizon": horizon}
    return await _or_none(ask(request, forecasts.forecast_latest, Forecast, **about))


async def forecast_explained(
    request: web.Request, target: str, horizon: Horizon
) -> Explained | None:
    """What the latest forecast rests on, None when there is none."""
    about = {"target": target, "horizon": horizon}
    return await _or_none(ask(request, forecasts.forecast_explained, Explained, **about))


async def issued_forecasts(
    request: web.Request, target: str, horizon: Horizon
) -> Items[IssuedForecast]:
    """A page of what was issued, newest first; the query may name where it begins."""
    about = {
        "target": target,
        "horizon": horizon,
        "after": request.query.get("after"),
        "limit": "28",
    }
    return await ask(request, forecasts.list_forecasts, Items[IssuedForecast], **about)


async def past_forecast(request: web.Request, forecast_id: str, target: str) -> Forecast | None:
    """A forecast as it was issued; None where there is no such one."""
    found = forecasts.read_forecast(request, forecast_id, target)
    return await _or_none(_decoded(found, Forecast))


async def past_explained(request: web.Request, forecast_id: str, target: str) -> Explained | None:
    """What a forecast rested on when it was issued; None where there is no such one."""
    found = forecasts.read_explanation(request, forecast_id, target)
    return await _or_none(_decoded(found, Explained))


async def forecast_scores(request: web.Request, target: str) -> ForecastScores:
    """How good forecasts of a target were of late."""
    return await ask(request, forecast_scores_view.forecast_scores, ForecastScores, target=target)


async def _decoded(view: Awaitable[web.Response], kind: type[T]) -> T:
    body = (await view).body
    return msgspec.json.decode(body if isinstance(body, bytes) else b"null", type=kind)


async def _or_none(found: Awaitable[T]) -> T | None:
    try:
        return await found
    except NotFound:
        return None


async def jobs(request: web.Request, **query: str) -> Items[Job]:
    """A page of jobs; takes `state`, `kind`, `sort`, `after`."""
    return await ask(request, job_views.list_jobs, Items[Job], limit="30", **query)


async def job(request: web.Request) -> Job:
    """The job of the path."""
    return await ask(request, job_views.get_job, Job)


async def dead_letters(request: web.Request, **query: str) -> DeadLetters:
    """A page of dead letters; takes `state`, `reason`, `sort`, `after`."""
    return await ask(request, letter_views.list_dead_letters, DeadLetters, limit="30", **query)


async def dead_letter(request: web.Request) -> DeadLetter:
    """The dead letter of the path."""
    return await ask(request, letter_views.get_dead_letter, DeadLetter)


async def run(request: web.Request) -> Run:
    """The training run of the path, by its own id or by that of its preparation."""
    return await ask(request, training.get_run, Run)


async def runs(request: web.Request, after: str) -> Items[Run]:
    """Training runs, newest first."""
    return await ask(request, training.list_runs, Items[Run], after=after, limit="10")


async def card(request: web.Request) -> ModelCard:
    """The model of the path with its card."""
    return await ask(request, model_views.get_card, ModelCard)


async def models(request: web.Request, scope: str = "cohort") -> list[Model]:
    """The newest models of everybody (`cohort`) or of single customers (`customer`)."""
    return (
        await ask(request, model_views.list_models, Items[Model], scope=scope, limit="20")
    ).items
