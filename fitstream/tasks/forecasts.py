"""Forecasts of the next 96 and 672 slots for the customers of a programme, from the ledger so far.

One search of the past serves both: the next day is the beginning of the next week.
"""

import asyncio
from datetime import datetime
from typing import Any

from fitstream.clock import DAY_SLOTS, day_bounds, local_time, slot_end_of
from fitstream.crash import crash_point
from fitstream.repo import forecasts, jobs, models
from fitstream.repo.forecasts import ForecastCustomer, Horizon, NewForecast
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model
from fitstream.tasks.context import JobContext
from fitstream.tasks.history import HISTORY_DAYS, Whose, history, quarter_of, wall_clock
from fitstream.tasks.issuing import About, ends_of, issue, publish
from fitstream.tasks.stored_model import OwnBlend, load_model, own_models
from fitstream.trainer.data import Series
from fitstream.trainer.forecast import Forecast, Request, forecast_many

SLOTS: dict[Horizon, int] = {"96": DAY_SLOTS, "672": 7 * DAY_SLOTS}
_CUSTOMERS_AT_ONCE = 25
_CUSTOMERS_PER_JOB = 500
_PASSED_ON = ("unless_from",)  # from a job to its parts


async def forecast(context: JobContext) -> None:
    """Ends with forecasts for each customer of the payload, or for all active ones, at home in the
    zones of the payload where it names some.

    All are issued as of the moment the job first began; an attempt that follows another one leaves
    out whom that one has published, and a payload with `unless_from` whoever has a next day's
    forecast that begins at that slot or later.
    """
    async with context.repo.connection() as db:
        champion = await models.champion(db, context.programme_no)
        only = context.job.payload.get("customers")
        zones = context.job.payload.get("zones")
        found = await forecasts.forecast_customers(db, context.programme_no, only, zones)
        wanted = [customer.customer_no for customer in found]
    if champion is None:
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": "no model yet"})
        return
    if len(wanted) > _CUSTOMERS_PER_JOB:
        await _share_out(context, wanted)
        return
    model = await load_model(context.store, champion)
    issued_at = context.began()
    async with context.repo.connection() as db:
        done = await forecasts.issued_to(db, wanted, _horizons(context), issued_at)
        if unless := context.job.payload.get("unless_from"):
            done |= await forecasts.forecast_from(db, wanted, unless)
    left, made = [number for number in wanted if number not in done], 0
    for first in range(0, len(left), _CUSTOMERS_AT_ONCE):
        group = left[first : first + _CUSTOMERS_AT_ONCE]
        made += await _forecast_group(context, (champion, model), group, issued_at)
        context.tell(phase="forecasting", customers=first + len(group), of=len(left))
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        result = {"customers": len(wanted), "forecasts": made, "model": champion.id}
        await jobs.finish_job(db, context.job, "succeeded", result)


def _horizons(context: JobContext) -> list[Horizon]:
    """Those of the payload; a job that names none means all."""
    wanted = context.job.payload.get("horizons") or SLOTS
    return [horizon for horizon in SLOTS if horizon in wanted]


async def _share_out(context: JobContext, numbers: list[int]) -> None:
    """A job for each part, so that none outlasts its time and several workers can help."""
    parts = range(0, len(numbers), _CUSTOMERS_PER_JOB)
    given = {name: context.job.payload[name] for name in _PASSED_ON if name in context.job.payload}
    async with context.repo.transaction() as db:
        for first in parts:
            part = NewJob(
                kind="forecast",
                queue="forecast",
                dedupe_key=f"{context.job.id}:{first}",
                payload={
                    "customers": numbers[first : first + _CUSTOMERS_PER_JOB],
                    "horizons": _horizons(context),
                    **given,
                },
                programme_no=context.programme_no,
                parent_id=context.job.id,
            )
            await jobs.insert_job(db, part)
        result = {"customers": len(numbers), "parts": len(parts)}
        await jobs.finish_job(db, context.job, "succeeded", result)


async def _forecast_group(
    context: JobContext,
    served: tuple[Model, Any],
    numbers: list[int],
    issued_at: datetime,
) -> int:
    """Forecasts of a few customers, stored in S3 first and then as the latest; how many rows."""
    champion, model = served
    start = slot_end_of(issued_at)
    horizons = _horizons(context)
    most = max(SLOTS[horizon] for horizon in horizons)
    async with context.repo.joined("repeatable_read") as db:  # versions and rows of one instant
        group = await forecasts.forecast_customers(db, context.programme_no, numbers)
        requests = [await _request(context, customer, (start, most)) for customer in group]
    own = await own_models(context, (champion, model), numbers)
    found = await asyncio.to_thread(
        _forecast_each, model, own, list(zip(group, requests, strict=True))
    )
    rows: list[NewForecast] = []
    for customer, made in zip(group, found, strict=True):
        through = _data_through(customer, made, start)
        used = own[customer.customer_no].id if customer.customer_no in own else champion.id
        for horizon in horizons:
            about = About(horizon, used, issued_at, start, SLOTS[horizon], through)
            rows += await issue(context, customer, made, about)
    async with context.repo.transaction() as db:
        await publish(db, rows, ends_of(rows))
    return len(rows)


def _forecast_each(
    model: Any,
    own: dict[int, OwnBlend],
    wanted: list[tuple[ForecastCustomer, Request]],
) -> list[Forecast]:
    """Everybody by the programme's model at once, and who has one of their own by that."""
    shared = [request for customer, request in wanted if customer.customer_no not in own]
    found = iter(forecast_many(model, shared))
    return [
        forecast_many(own[customer.customer_no].model, [request])[0]
        if customer.customer_no in own
        else next(found)
        for customer, request in wanted
    ]


async def _request(
    context: JobContext, customer: ForecastCustomer, span: tuple[int, int]
) -> Request:
    start, slots = span
    whose = Whose(customer.customer_no, customer.id, customer.zone)
    known = await history(context, whose, (start - HISTORY_DAYS * DAY_SLOTS, start))
    return request_of(known, customer.zone, start, slots)


def request_of(series: Series, zone: str, start: int, slots: int) -> Request:
    """What the trainer is asked: the same slots, on the clock of the customer's wall."""
    places = wall_clock(start, slots, zone)
    local = local_time(start, zone)
    return Request(series, local.date(), quarter_of(local), max(places) + 1, is_explained=True)


def _data_through(customer: ForecastCustomer, found: Forecast, start: int) -> int:
    """The slot before which everything known was used: whole local days, the newest one at most."""
    seen = start if customer.last_slot is None else min(customer.last_slot + 1, start)
    if found.data_through is None:
        return seen
    _, end = day_bounds(found.data_through, customer.zone)
    return min(seen, end)
