"""Weeks of a customer: the list, one week slot by slot, its versions, and rolling it by hand."""

from typing import NamedTuple

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Version, Week
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import weeks as week_views
from fitstream.gateway.view.grid import Gap, Grid, gaps, week_grid
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.weekly import WeekDates, change_words, week_dates

_GAPS_SHOWN = 40


class WeekRow(NamedTuple):
    """A week in the list."""

    week: Week
    dates: WeekDates


class WeeksPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    customer: Customer
    tab: str
    rows: list[WeekRow]
    first: str | None
    following: str | None


class VersionRow(NamedTuple):
    """A version and what changed with it, in words."""

    version: Version
    changed: list[str]
    is_current: bool


class WeekPage(msgspec.Struct, frozen=True, kw_only=True):
    """One week."""

    customer: Customer
    tab: str
    week: Week
    dates: WeekDates
    grid: Grid
    gaps: list[Gap]
    more_gaps: int
    versions: list[VersionRow]
    before: str | None
    after: str | None
    asked: bool


async def list_weeks(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Weeks, newest first."""
    customer = await reads.customer(request)
    after = request.query.get("after", "")
    found = await reads.weeks(request, after)
    here = f"/admin/customers/{customer.id}/weeks"
    page = WeeksPage(
        customer=customer,
        tab="weeks",
        rows=[WeekRow(week, week_dates(week, customer.zone)) for week in found.items],
        first=here if after else None,
        following=f"{here}?after={found.next}" if found.next else None,
    )
    return html(request, "admin/weeks.html", viewer.shell("customers"), page)


async def show_week(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The ledger of one week and its versions."""
    customer = await reads.customer(request)
    week = await reads.week(request)
    slots = await reads.week_slots(request)
    known = [row.week for row in (await reads.all_weeks(request)).items]
    place = known.index(week.week) if week.week in known else 0
    found = gaps(slots)
    page = WeekPage(
        customer=customer,
        tab="weeks",
        week=week,
        dates=week_dates(week, customer.zone),
        grid=week_grid(slots),
        gaps=found[:_GAPS_SHOWN],
        more_gaps=max(0, len(found) - _GAPS_SHOWN),
        versions=[_version(version, week, customer.zone) for version in week.versions],
        before=known[place + 1] if place + 1 < len(known) else None,
        after=known[place - 1] if place > 0 else None,
        asked="rolling" in request.query,
    )
    return html(request, "admin/week.html", viewer.shell("customers"), page)


async def roll_week(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Asks for a roll now, and back to the week."""
    await week_views.roll_week(request)
    customer, week = request.match_info["customer"], request.match_info["week"]
    return see(f"/admin/customers/{customer}/weeks/{week}?rolling=1#versions")


async def download(request: web.Request, _: Viewer) -> web.StreamResponse:
    """The Parquet file of a version."""
    return await week_views.get_file(request)


def _version(version: Version, week: Week, zone: str) -> VersionRow:
    is_current = version.version == week.current_version
    return VersionRow(version, change_words(version.changed, zone), is_current)
