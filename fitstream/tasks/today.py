"""The rest of today, for the customers whose today has slots that no forecast has seen."""

import asyncio
from datetime import datetime
from typing import NamedTuple

from fitstream.clock import DAY_SLOTS, day_bounds, local_time, slot_end_of
from fitstream.crash import crash_point
from fitstream.repo import forecasts, jobs, models
from fitstream.repo.forecasts import ForecastCustomer, NewForecast
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model
from fitstream.tasks.context import JobContext
from fitstream.tasks.history import HISTORY_DAYS, Whose, history, quarter_of
from fitstream.tasks.issuing import About, ends_of, issue, publish
from fitstream.tasks.stored_model import OwnBlend, load_model, own_models
from fitstream.trainer.today import Moment, rest_of_today

_CUSTOMERS_AT_ONCE = 25
_CUSTOMERS_PER_JOB = 250
_CUSTOMERS_AT_MOST = 5000  # those waiting longest first; the next round takes the others


class _Rest(NamedTuple):
    """Slots of the local day that are still to come, from the first that was not sent yet."""

    start: int
    slots: int


async def forecast_today(context: JobContext) -> None:
    """Ends with a forecast of the rest of today for each customer who sent something since the one
    before; a part of them each, where they are many.

    Every attempt issues them as of the moment the first one began, and leaves out whom an earlier
    one has published.
    """
    now, only = context.began(), context.job.payload.get("customers")
    async with context.repo.connection() as db:
        champion = await models.champion(db, context.programme_no)
        if only is None:
            args = (context.programme_no, now, _CUSTOMERS_AT_MOST)
            only = await forecasts.customers_with_news(db, *args)
        done = await forecasts.issued_to(db, only, ["today"], now)
        wanted = [number for number in only if number not in done]
    if champion is None or not wanted:
        verdict = "no model yet" if champion is None else "nothing new"
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
    elif len(wanted) > _CUSTOMERS_PER_JOB:
        await _share_out(context, wanted)
    else:
        await _forecast_all(context, champion, wanted, now)


async def _share_out(context: JobContext, numbers: list[int]) -> None:
    parts = range(0, len(numbers), _CUSTOMERS_PER_JOB)
    async with context.repo.transaction() as db:
        for first in parts:
            part = NewJob(
                kind="forecast_today",
                queue="forecast",
                dedupe_key=f"{context.job.id}:{first}",
                payload={"customers": numbers[first : first + _CUSTOMERS_PER_JOB]},
                programme_no=context.programme_no,
                parent_id=context.job.id,
            )
            await jobs.insert_job(db, part)
        result = {"customers": len(numbers), "parts": len(parts)}
        await jobs.finish_job(db, context.job, "succeeded", result)


async def _forecast_all(
    context: JobContext, champion: Model, wanted: list[int], now: datetime
) -> None:
    model = await load_model(context.store, champion)
    made = 0
    for first in range(0, len(wanted), _CUSTOMERS_AT_ONCE):
        group = wanted[first : first + _CUSTOMERS_AT_ONCE]
        own = await own_models(context, (champion, model), group)
        rows: list[NewForecast] = []
        for number in group:
            served = own.get(number, OwnBlend(champion.id, model))
            rows += await _forecast_one(context, served, number, now)
        async with context.repo.transaction() as db:
            await publish(db, rows, ends_of(rows))
        made += len(rows)
        context.tell(phase="forecasting", customers=first + len(group), of=len(wanted))
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        result = {"customers": len(wanted), "forecasts": made, "model": champion.id}
        await jobs.finish_job(db, context.job, "succeeded", result)


async def _forecast_one(
    context: JobContext, served: OwnBlend, number: int, now: datetime
) -> list[NewForecast]:
    async with context.repo.joined("repeatable_read") as db:  # version and rows of one instant
        known = await forecasts.forecast_customers(db, context.programme_no, [number])
        customer = next(iter(known), None)
        rest = rest_of(customer, now) if customer else None
        if customer is None or rest is None:
            return []
        whose = Whose(customer.customer_no, customer.id, customer.zone)
        span = (rest.start - HISTORY_DAYS * DAY_SLOTS, rest.start)
        past = await history(context, whose, span)
    local = local_time(rest.start, customer.zone)
    moment = Moment(past, local.date(), quarter_of(local))
    found = await asyncio.to_thread(rest_of_today, served.model, moment)
    about = About("today", served.id, now, rest.start, rest.slots, rest.start)
    return await issue(context, customer, found, about)


def rest_of(customer: ForecastCustomer, now: datetime) -> _Rest | None:
    """What is left of the local day; None where nothing of it was sent or nothing is left."""
    if customer.last_slot is None:
        return None
    last = slot_end_of(now)
    first, end = day_bounds(local_time(last - 1, customer.zone).date(), customer.zone)
    start = min(customer.last_slot + 1, last)
    return _Rest(start, end - start) if first < start < end else None
