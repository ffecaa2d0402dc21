"""`fitstream verify`: proves that ledger, versions, files and positions agree, or says where not.

Reads Postgres in one snapshot and S3 beside it, a few weeks at a time. Changes nothing by itself:
`repair` raises dirty_seq of weeks that differ, and a person acknowledges losses.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

from fitstream.broker import open_positions
from fitstream.clock import Zones, slot_start, zone_for
from fitstream.operations.findings import Finding, Report
from fitstream.operations.ledger_checks import check_counts, check_positions, check_runs
from fitstream.operations.week_checks import WeekFacts, check_week
from fitstream.orphans import is_collectable, orphans
from fitstream.repo import checks, customers, samples, weeks
from fitstream.repo.checks import CheckedWeek
from fitstream.repo.database import Db, Repo, open_repo
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.weekfile import WeekContent, week_content

LEDGER = "ledger"
_PAGE = 16
_CUSTOMERS = 25


class Scope(NamedTuple):
    """What to look at: everything, or one customer; and the group whose position counts."""

    customer_id: str | None = None
    group: str = LEDGER


EVERYTHING = Scope()


async def verify(settings: Settings, scope: Scope = EVERYTHING) -> Report:
    """The report. Raises Unavailable when a service is away, NotFound for an unknown customer."""
    report = Report()
    committed = {} if scope.customer_id else await _committed(settings, scope.group)
    async with open_repo(settings) as repo, open_store(settings) as store:
        await store.ping()
        # Read after Kafka's group: the ledger commits there only what it has stored.
        async with repo.transaction("repeatable_read", readonly=True) as db:
            number = await _number(db, scope.customer_id)
            await _check_weeks(db, store, settings, number, report)
            await _check_customers(db, number, report)
            if number is None:
                await check_positions(db, settings.topic, committed, report)
                await check_counts(db, report)
                await check_runs(db, report)
        await _check_orphans(store, repo, scope.customer_id, report)
    return report


async def repair(settings: Settings, report: Report) -> int:
    """Has the weeks that differ rolled again, by their dirty_seq alone; how many."""
    async with open_repo(settings) as repo:
        for key in sorted(report.weeks):
            async with repo.transaction() as db:
                await checks.roll_again(db, key.customer_no, key.week)
    return len(report.weeks)


async def acknowledge_losses(settings: Settings) -> int:
    """Notes that a person has seen every proven loss; how many were new."""
    async with open_repo(settings) as repo, repo.transaction() as db:
        return await checks.acknowledge_losses(db)


async def _committed(settings: Settings, group: str) -> dict[int, int]:
    async with open_positions(settings, group) as positions:
        return await positions.committed()


async def _number(db: Db, customer_id: str | None) -> int | None:
    if customer_id is None:
        return None
    return (await customers.get_customer(db, customer_id)).customer_no


async def _check_weeks(
    db: Db, store: Store, settings: Settings, number: int | None, report: Report
) -> None:
    for stray in await checks.stray_versions(db, number):
        where = f"customer number {stray.customer_no} {stray.week}"
        report.differs(Finding("versions", where, f"version {stray.version} has no week"))
    overdue_s = settings.late_max_s + 2 * settings.roll_lease_s
    async for page in _pages(db, number, overdue_s):
        for facts in page:
            report.count("weeks")
            report.count("rows", len(facts.content.rows) if facts.content else 0)
            _check_rolled(facts, report)
        checking = [check_week(store, facts, report) for facts in page]
        for ended in await asyncio.gather(*checking, return_exceptions=True):
            if ended is not None:
                raise ended


async def _pages(db: Db, number: int | None, overdue_s: float) -> AsyncIterator[list[WeekFacts]]:
    """A few weeks at a time with their versions and rows."""
    after = (0, "")
    zones_of = 0
    zones: Zones = ()
    while found := await checks.weeks_after(db, after, number, overdue_s, _PAGE):
        page = []
        for week in found:
            if zones_of != week.customer_no:
                zones_of, zones = week.customer_no, await customers.zones_of(db, week.customer_no)
            versions = await weeks.list_versions(db, week.customer_no, week.week)
            content = await _content(db, week, zones)
            page.append(WeekFacts(week, versions[::-1], content))
        yield page
        after = (found[-1].customer_no, found[-1].week)


async def _content(db: Db, week: CheckedWeek, zones: Zones) -> WeekContent | None:
    """What a version of the week would hold; None while it is dirty."""
    if week.dirty_seq > week.rolled_seq:
        return None
    span = (week.start_slot, week.end_slot)
    rows = await samples.rows_of(db, week.customer_no, span)
    return week_content(week.customer_id, (week.week, *span), zone_for(week.week, zones), rows)


def _check_rolled(facts: WeekFacts, report: Report) -> None:
    week = facts.week
    if week.is_overdue:
        detail = f"dirty_seq {week.dirty_seq}, rolled_seq {week.rolled_seq}"
        report.differs(Finding("overdue", facts.where, detail))
    elif week.dirty_seq > week.rolled_seq:
        report.stands_apart(Finding("dirty", facts.where, "closed" if week.closed_at else "open"))


async def _check_customers(db: Db, number: int | None, report: Report) -> None:
    """Rows counted three ways, and what devices left out."""
    after = 0
    while found := await checks.customers_after(db, after, number, _CUSTOMERS):
        for customer in found:
            report.count("customers")
            if not customer.rows == customer.in_weeks == customer.counted:
                detail = (
                    f"{customer.rows} rows, {customer.in_weeks} of them in weeks,"
                    f" {customer.counted} counted as they came"
                )
                report.differs(Finding("count", customer.customer_id, detail))
            for gap in await checks.device_gaps(db, customer.customer_no):
                span = f"{slot_start(gap.first_slot):%F} to {slot_start(gap.last_slot):%F}"
                where = f"{customer.customer_id} {gap.device_id}"
                report.stands_apart(Finding("gap", where, f"{gap.missing} slots, {span}"))
        after = found[-1].customer_no


async def _check_orphans(store: Store, repo: Repo, customer_id: str | None, report: Report) -> None:
    now = datetime.now(UTC)
    async for orphan in orphans(store, repo, customer_id):
        hours = (now - orphan.object.modified).total_seconds() / 3600
        state = "to be collected" if is_collectable(orphan, now) else "kept for now"
        report.stands_apart(Finding("orphan", orphan.object.key, f"{hours:.1f} h old, {state}"))
