"""Forecasts of the next 96 slots for the customers of a programme, from the ledger so far."""

import asyncio
import io
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.clock import DAY_SLOTS, day_bounds, local_time, slot_end_of, slot_start
from fitstream.combined import Slot, combine
from fitstream.crash import crash_point
from fitstream.merge import NAMES
from fitstream.repo import jobs, models, samples
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import ForecastCustomer, Model, NewForecast
from fitstream.tasks.context import JobContext
from fitstream.tasks.stored_model import load_model
from fitstream.trainer import data
from fitstream.trainer.data import TARGETS, Series, empty_series
from fitstream.trainer.forecast import Forecast, Request, forecast_many

HORIZON = DAY_SLOTS
_HISTORY_DAYS = 70
_CUSTOMERS_AT_ONCE = 50
_CUSTOMERS_PER_JOB = 500


async def forecast(context: JobContext) -> None:
    """Ends with a forecast for each customer of the payload, or for all active ones."""
    async with context.repo.connection() as db:
        champion = await models.champion(db, context.programme_no)
        only = context.job.payload.get("customers")
        wanted = await models.forecast_customers(db, context.programme_no, only)
    if champion is None:
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": "no model yet"})
        return
    if len(wanted) > _CUSTOMERS_PER_JOB:
        await _share_out(context, [customer.customer_no for customer in wanted])
        return
    model = await load_model(context.store, champion)
    issued_at = context.now()
    made = 0
    for first in range(0, len(wanted), _CUSTOMERS_AT_ONCE):
        group = wanted[first : first + _CUSTOMERS_AT_ONCE]
        made += await _forecast_group(context, (champion, model), group, issued_at)
        context.tell(phase="forecasting", customers=first + len(group), of=len(wanted))
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        result = {"customers": len(wanted), "forecasts": made, "model": champion.id}
        await jobs.finish_job(db, context.job, "succeeded", result)


async def _share_out(context: JobContext, numbers: list[int]) -> None:
    """A job for each part, so that none outlasts its time and several workers can help."""
    parts = range(0, len(numbers), _CUSTOMERS_PER_JOB)
    async with context.repo.transaction() as db:
        for first in parts:
            part = NewJob(
                kind="forecast",
                queue="forecast",
                dedupe_key=f"{context.job.id}:{first}",
                payload={"customers": numbers[first : first + _CUSTOMERS_PER_JOB]},
                programme_no=context.programme_no,
                parent_id=context.job.id,
            )
            await jobs.insert_job(db, part)
        result = {"customers": len(numbers), "parts": len(parts)}
        await jobs.finish_job(db, context.job, "succeeded", result)


async def _forecast_group(
    context: JobContext,
    served: tuple[Model, Any],
    group: list[ForecastCustomer],
    issued_at: datetime,
) -> int:
    """Forecasts of a few customers, stored in S3 first and then as the latest; how many rows."""
    champion, model = served
    start = slot_end_of(issued_at)
    history = {customer.id: await _history(context, customer, start) for customer in group}
    requests = [_request(history[customer.id], customer, start) for customer in group]
    forecasts = await asyncio.to_thread(forecast_many, model, requests)
    rows = []
    for customer, found in zip(group, forecasts, strict=True):
        new = _rows(customer, found, (champion.id, start), issued_at)
        await _put(context, customer, new)
        rows += new
    async with context.repo.transaction() as db:
        await models.upsert_forecasts(db, rows)
    return len(rows)


async def _history(context: JobContext, customer: ForecastCustomer, end: int) -> Series:
    span = (end - _HISTORY_DAYS * DAY_SLOTS, end)
    async with context.repo.connection() as db:
        slots = combine(await samples.rows_of(db, customer.customer_no, span))
    if not slots:
        return empty_series(customer.id, local_time(end, customer.zone).date())
    part = await asyncio.to_thread(_part, customer, slots)
    return data.load([part])[customer.id]


def _part(customer: ForecastCustomer, slots: list[Slot]) -> bytes:
    """Rows of the ledger in the form that the trainer reads."""
    columns: dict[str, Any] = {
        "customer_id": pa.array([customer.id] * len(slots)),
        "slot": pa.array([slot.slot for slot in slots], pa.int32()),
        "local": pa.array([local_time(slot.slot, customer.zone) for slot in slots]),
    }
    scales = {"steps": 1, "calories_kcal": 100, "heart_rate_bpm": 10}
    for target in TARGETS:
        index, scale = NAMES.index(target), scales[target]
        scaled = [slot.values[index] for slot in slots]
        measured = [None if value is None else value / scale for value in scaled]
        columns[target] = pa.array(measured, pa.float32())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _request(series: Series, customer: ForecastCustomer, start: int) -> Request:
    places = wall_clock(start, HORIZON, customer.zone)
    local = local_time(start, customer.zone)
    return Request(series, local.date(), _quarter(local), max(places) + 1)


def wall_clock(start: int, slots: int, zone: str) -> list[int]:
    """Where each of `slots` lies among the quarter hours that a clock on the wall shows, counted
    from `start`: one hour is left out, or comes twice, where the clocks change."""
    first = local_time(start, zone)
    places = []
    for slot in range(start, start + slots):
        local = local_time(slot, zone)
        days = (local.date() - first.date()).days
        places.append(max(days * DAY_SLOTS + _quarter(local) - _quarter(first), 0))
    return places


def _quarter(local: datetime) -> int:
    return (local.hour * 60 + local.minute) // 15


def _rows(
    customer: ForecastCustomer, found: Forecast, about: tuple[str, int], issued_at: datetime
) -> list[NewForecast]:
    model_id, start = about
    places = wall_clock(start, HORIZON, customer.zone)
    return [
        NewForecast(
            customer_no=customer.customer_no,
            target=target,
            issued_at=issued_at,
            model_id=model_id,
            week=customer.week,
            version=customer.version,
            data_through=_data_through(customer, found, start),
            start_slot=start,
            basis=found.basis[target],
            quantiles=[[round(float(v), 3) for v in values[place]] for place in places],
            object_key=_key(customer, issued_at),
        )
        for target, values in found.values.items()
    ]


def _data_through(customer: ForecastCustomer, found: Forecast, start: int) -> int:
    """The slot before which everything known was used: whole local days, the newest one at most."""
    if found.data_through is None:
        return min(customer.last_slot + 1, start)
    _, end = day_bounds(found.data_through, customer.zone)
    return min(customer.last_slot + 1, end, start)


def _key(customer: ForecastCustomer, issued_at: datetime) -> str:
    return f"users/{customer.id}/forecasts/{issued_at:%Y%m%dT%H%M%S%f}.json"


async def _put(context: JobContext, customer: ForecastCustomer, rows: list[NewForecast]) -> None:
    """The history of forecasts lies in S3; Postgres keeps the latest."""
    if not rows:
        return
    body = {
        "customer_id": customer.id,
        "issued_at": rows[0].issued_at,
        "model_id": rows[0].model_id,
        "based_on": {"week": customer.week, "version": customer.version},
        "data_through": slot_start(rows[0].data_through),
        "start": slot_start(rows[0].start_slot),
        "step_s": timedelta(minutes=15).seconds,
        "targets": {row.target: {"basis": row.basis, "rows": row.quantiles} for row in rows},
    }
    await context.store.put_new(rows[0].object_key, msgspec.json.encode(body), "application/json")
