"""What was measured: samples, local days and hours of a customer."""

import asyncio
from datetime import date, timedelta
from typing import Any

from aiohttp import web

from fitstream import clock, combined
from fitstream.client import data
from fitstream.clock import DAY_SLOTS, day_bounds, local_day, slot_of, slot_start
from fitstream.combined import LedgerRow, Slot
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import after, answer, day, limit, now, page, slot_span
from fitstream.gateway.keys import REPO
from fitstream.gateway.routes import Route
from fitstream.merge import unscaled
from fitstream.repo import customers, devices, samples
from fitstream.repo.customers import Customer
from fitstream.repo.database import Db
from fitstream.score import score

_DAYS_MAX = 400
_DAYS_AT_ONCE = 31
_DAY = timedelta(days=1)
_USUAL_WEEKS = 4


async def list_samples(request: web.Request) -> web.Response:
    """Rows as the devices sent them, or one per slot with `combined=1`."""
    span = slot_span(request, (0, slot_of(now(request)) + DAY_SLOTS))
    count = limit(request)
    position = after(request, tuple[int, int]) or (-1, -1)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        if request.query.get("combined") == "1":
            return await _combined_page(
                db, customer, (max(span[0], position[0] + 1), span[1]), count
            )
        number = await _device_no(db, customer, request.query.get("device"))
        rows = await samples.page_of(db, customer.customer_no, span, position, (number, count))
    following = (rows[-1].slot, rows[-1].device_no) if len(rows) == count else None
    return page([_shown(row) for row in rows], following)


async def list_days(request: web.Request) -> web.Response:
    """Totals per local day, both ends of the range included."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        today = local_day(slot_of(now(request)), customer.zone)
        last = day(request, "to", today)
        first = day(request, "from", last - timedelta(days=6))
        if not 0 <= (last - first).days < _DAYS_MAX:
            raise Rejected("bad_range", f"`from` to `to` must be 1 to {_DAYS_MAX} days")
    count, position = limit(request, _DAYS_MAX, _DAYS_MAX), after(request, int)
    if position is not None:
        first = max(first, _day_of(position) + _DAY)
    ending = min(last, first + timedelta(days=count - 1))
    items: list[dict[str, object]] = []
    while first <= ending:
        until = min(ending, first + timedelta(days=_DAYS_AT_ONCE - 1))
        items += await _days(request, customer, (first, until))
        first = until + _DAY
    return page(items, ending.toordinal() if ending < last else None)


async def _days(
    request: web.Request, customer: Customer, span: tuple[date, date]
) -> list[dict[str, object]]:
    """Totals of a few days, computed beside the event loop: others wait for none of it."""
    bounds = (day_bounds(span[0], customer.zone)[0], day_bounds(span[1], customer.zone)[1])
    async with request.app[REPO].connection() as db:
        rows = await samples.rows_of(db, customer.customer_no, bounds)
    return await asyncio.to_thread(
        lambda: combined.days(combined.combine(rows), customer.zone, span)
    )


def _day_of(position: int) -> date:
    """The day a cursor names. Raises Rejected(bad_cursor)."""
    try:
        return date.fromordinal(position)
    except (ValueError, OverflowError) as error:
        raise Rejected("bad_cursor", "`after` is not a cursor of this list") from error


async def hours(request: web.Request) -> web.Response:
    """One local day by the hour, the usual day beside it, and the activity score of the week."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        zone = customer.zone
        wanted = day(request, "day", local_day(slot_of(now(request)), zone))
        first = wanted - timedelta(weeks=_USUAL_WEEKS)
        span = (day_bounds(first, zone)[0], day_bounds(wanted, zone)[1])
        rows = await samples.rows_of(db, customer.customer_no, span)
    slots = await asyncio.to_thread(combined.combine, rows)
    start, _ = day_bounds(wanted, zone)
    today = [slot for slot in slots if slot.slot >= start]
    past = [slot for slot in slots if slot.slot < start]
    week = combined.days(slots, zone, (wanted - timedelta(days=6), wanted))
    measured = [slot.slot for slot in slots if slot.is_measured]
    return answer(
        {
            "day": wanted.isoformat(),
            "zone": zone,
            "items": combined.hours(today, zone),
            "usual": combined.usual_hours(_same_weekday(past, zone, wanted.weekday()), zone),
            "quarters": [_quarter(slot) for slot in today if slot.is_measured],
            "last_slot": slot_start(measured[-1]) if measured else None,
            "score": score(week),
        }
    )


def _same_weekday(slots: list[Slot], zone: str, weekday: int) -> list[Slot]:
    """The past days of the same weekday that were worn, or all days while there are none."""
    same = [s for s in slots if s.is_measured and local_day(s.slot, zone).weekday() == weekday]
    return same or [slot for slot in slots if slot.is_measured]


def _quarter(slot: Slot) -> dict[str, Any]:
    return {"slot": slot_start(slot.slot), **unscaled(slot.values)}


async def _device_no(db: Db, customer: Customer, device_id: str | None) -> int | None:
    if not device_id:
        return None
    return (await devices.get_device(db, customer.customer_no, device_id)).device_no


async def _combined_page(
    db: Db, customer: Customer, span: tuple[int, int], count: int
) -> web.Response:
    end = min(span[1], span[0] + max(count, 1) * 4) if span[0] > 0 else span[1]
    found = combined.combine(await samples.rows_of(db, customer.customer_no, (span[0], end)))
    items = [_quarter(slot) | {"device_id": slot.device_id} for slot in found[:count]]
    if len(found) > count:
        return page(items, (found[count - 1].slot, 0))
    return page(items, (end - 1, 0) if end < span[1] else None)


def _shown(row: LedgerRow) -> dict[str, Any]:
    values = row.row.values
    return {
        "slot": slot_start(row.slot),
        "device_id": row.device_id,
        "tz_offset_min": row.tz_offset_min,
        **unscaled(values),
        "rev": row.rev,
        "received_at": clock.epoch_s(row.received_s),
    }


ROUTES = (
    Route(
        "GET", "/v1/customers/{customer}/samples", list_samples, "samples",
        gives=data.Items[data.Reading],
        query=("from", "to", "device", "combined", "after", "limit"),
        tag="samples", summary="Read samples",
    ),
    Route(
        "GET", "/v1/customers/{customer}/days", list_days, "days",
        gives=data.Items[data.Day], query=("from_day", "to_day", "after", "days_limit"),
        tag="samples", summary="Read totals per local day",
    ),
    Route(
        "GET", "/v1/customers/{customer}/hours", hours, "hours",
        gives=data.HoursOfDay, query=("day",),
        tag="samples", summary="Read one local day by the hour",
    ),
)  # fmt: skip
