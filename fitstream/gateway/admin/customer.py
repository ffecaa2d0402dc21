"""One customer: how it stands, the last four weeks by day, and the raw rows of a day."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec
from aiohttp import web

from fitstream.client.data import METRICS, Customer, DailySummary, Day, Device, Week
from fitstream.clock import day_bounds, slot_of, slot_start
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.weekly import days_chart

_DAYS = 28
_SHOWN = (
    ("steps", "steps"), ("heart_rate_bpm", "heart"), ("calories_kcal", "kcal"),
    ("sleep_min", "sleep"),
)  # fmt: skip


class RawRow(msgspec.Struct, frozen=True):
    """A row as a device sent it."""

    slot: datetime
    device: str
    values: list[str]
    rev: int
    received_at: datetime


class CustomerPage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page."""

    customer: Customer
    tab: str
    devices: list[Device]
    week: Week | None
    today_measured: int
    today_slots: int
    charts: list[Chart]
    summaries: list[DailySummary]
    span: str
    day: date
    before: date
    after: date | None
    columns: list[str]
    rows: list[RawRow]
    first: str | None
    following: str | None


async def show_customer(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The first page of a customer."""
    customer = await reads.customer(request)
    devices = await reads.devices(request)
    newest = (await reads.weeks(request, "")).items[:1]
    today = local_today(customer, viewer.now)
    last = last_day(customer, newest, today)
    days = await reads.days(request, last - timedelta(days=_DAYS - 1), last)
    day = _day(request, last)
    cursor = request.query.get("after", "")
    raw = await reads.sample_rows(request, _span(day, customer.zone), cursor)
    columns, rows = raw_table(raw.items, devices)
    here = f"/admin/customers/{customer.id}?day={day.isoformat()}"
    at_today = next((entry for entry in days if entry.day == today), None)
    page = CustomerPage(
        customer=customer,
        tab="data",
        devices=devices,
        week=newest[0] if newest else None,
        today_measured=at_today.measured if at_today else 0,
        today_slots=slots_so_far(today, customer.zone, viewer.now),
        charts=charts_of(days),
        summaries=await reads.daily_summaries(request, days[0].day, days[-1].day),
        span=words.days_between(days[0].day, days[-1].day),
        day=day,
        before=day - timedelta(days=1),
        after=day + timedelta(days=1) if day < today else None,
        columns=columns,
        rows=rows,
        first=f"{here}#raw" if cursor else None,
        following=f"{here}&after={raw.next}#raw" if raw.next else None,
    )
    return html(request, "admin/customer.html", viewer.shell("customers"), page)


def local_today(customer: Customer, now: datetime) -> date:
    """The customer's own date."""
    return now.astimezone(words.known_zone(customer.zone)).date()


def last_day(customer: Customer, newest: Sequence[Week], today: date) -> date:
    """The last day worth showing: today, or the end of the newest week that has data."""
    if not newest:
        return today
    end = newest[0].end.astimezone(words.known_zone(customer.zone)).date() - timedelta(days=1)
    return min(today, end)


def slots_so_far(day: date, zone: str, now: datetime) -> int:
    """Slots of a local day that are over."""
    start, end = day_bounds(day, zone)
    return max(0, min(slot_of(now), end) - start)


def charts_of(days: Sequence[Day]) -> list[Chart]:
    """One chart per metric that was measured at all."""
    return [
        days_chart(days, metric, color, f"days-{metric}")
        for metric, color in _SHOWN
        if any(day.value(metric) is not None for day in days)
    ]


def raw_table(
    items: Sequence[dict[str, object]], devices: Sequence[Device]
) -> tuple[list[str], list[RawRow]]:
    """Columns that any row has, and the rows in them."""
    names = {device.id: device.name for device in devices}
    columns = [metric for metric in METRICS if any(metric in item for item in items)]
    return columns, [_raw_row(item, columns, names) for item in items]


def _raw_row(item: dict[str, object], columns: Sequence[str], names: dict[str, str]) -> RawRow:
    found = msgspec.convert(item, _Sent)
    values = [words.number(found_value(item, name)) for name in columns]
    device = names.get(found.device_id, found.device_id)
    return RawRow(found.slot, device, values, found.rev, found.received_at)


def found_value(item: dict[str, object], name: str) -> float | None:
    """A metric of a raw row, None where it was not measured."""
    value = item.get(name)
    return float(value) if isinstance(value, int | float) else None


class _Sent(msgspec.Struct, frozen=True):
    slot: datetime
    device_id: str
    rev: int
    received_at: datetime


def _day(request: web.Request, default: date) -> date:
    try:
        return date.fromisoformat(request.query.get("day", ""))
    except ValueError:
        return default


def _span(day: date, zone: str) -> tuple[str, str]:
    start, end = day_bounds(day, zone)
    return slot_start(start).isoformat(), slot_start(end).isoformat()
