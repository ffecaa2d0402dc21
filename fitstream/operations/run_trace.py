"""`fitstream trace`: the way of a post or a slot, over the API, for people or as JSON."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
import msgspec

from fitstream.client import open_client
from fitstream.client.trace import Hop, Trace, TracedRecord, TracedRow, TracedVersion, TracedWeek
from fitstream.errors import Rejected

_HASH_SHOWN = 12


class Order(NamedTuple):
    """What the command was asked for: a batch, or a customer's slot, perhaps of one device."""

    batch: str | None = None
    customer: str | None = None
    slot: str | None = None
    device: str | None = None
    as_json: bool = False


def run_trace(api: tuple[str, str], order: Order) -> int:
    """Prints the trace; 1 when its first hop knows nothing, else 0.

    Raises Rejected, NotFound, Unavailable.
    """
    found = asyncio.run(_ask(api, order))
    shown = msgspec.json.encode(found).decode() if order.as_json else "\n".join(lines_of(found))
    click.echo(shown)
    return 0 if found.ledger.items or found.records.items else 1


async def _ask(api: tuple[str, str], order: Order) -> Trace:
    async with open_client(*api) as admin:
        if order.batch:
            return await admin.trace_batch(order.batch)
        if not order.customer or not order.slot:
            raise Rejected("bad_trace", "name --batch, or --customer and --slot")
        return await admin.trace_slot(order.customer, order.slot, order.device or "")


def lines_of(found: Trace) -> Iterator[str]:
    """The trace for people: a hop per paragraph, in the order of the way."""
    yield from _hop("record", found.records, _record)
    counts = ", ".join(f"{count:,} {state}" for state, count in found.rows.items())
    yield from _hop("ledger", found.ledger, _row)
    if sum(found.rows.values()) > len(found.ledger.items):
        yield f"          … {counts} in all"
    if found.weeks.unknown:
        yield f"week      unknown: {found.weeks.unknown}"
    for week in found.weeks.items:
        yield from _week(week)


def _week(week: TracedWeek) -> Iterator[str]:
    current = "no version" if week.current_version is None else f"version {week.current_version}"
    yield f"week      {week.week}  {week.state}, {current}  {week.start} to {week.end}"
    yield from _hop("version", week.versions, _version)
    yield from _hop(
        "dataset", week.datasets, lambda d: f"{d.dataset_hash[:_HASH_SHOWN]}  version {d.version}"
    )
    yield from _hop("run", week.runs, lambda r: f"{r.id}  {r.state}  {r.created_at}")
    yield from _hop("model", week.models, lambda m: f"{m.id}  {m.kind}, {m.stage}  {m.object_key}")
    yield from _hop(
        "forecast",
        week.forecasts,
        lambda f: f"{f.target}  version {f.version}, model {f.model_id}  {f.issued_at}",
    )


def _hop(name: str, hop: Hop[Any], line: Any) -> Iterator[str]:
    if hop.unknown:
        yield f"{name:<9} unknown: {hop.unknown}"
    for item in hop.items:
        yield f"{name:<9} {line(item)}"


def _record(record: TracedRecord) -> str:
    place = f"{record.topic} generation {record.generation} partition {record.partition}"
    return (
        f"{place} offset {record.offset} ({record.found_in})  batch {record.batch_id},"
        f" {record.samples} samples, received {record.received_at}"
    )


def _row(row: TracedRow) -> str:
    text = f"{row.slot}  {row.device_id}  {row.state}"
    if row.rev is None:
        return text
    noted = f", conflict noted {row.conflict_at}" if row.conflict_at else ""
    gone = ", a tombstone" if row.deleted else ""
    return f"{text}, rev {row.rev}, tie {row.tie}, received {row.received_at}{gone}{noted}"


def _version(version: TracedVersion) -> str:
    holds = "cannot be read now" if version.holds is None else f"holds {version.holds} of the rows"
    objects = "".join(f"\n            {key}" for key in version.objects)
    return f"{version.version} ({version.reason})  {version.created_at}  {holds}{objects}"
