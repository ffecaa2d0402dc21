"""The second half of a trace: weeks, the versions that hold the rows, and what rests on them."""

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

import msgspec

from fitstream.client.trace import (
    Hop,
    TracedDataset,
    TracedForecast,
    TracedModel,
    TracedRun,
    TracedVersion,
    TracedWeek,
)
from fitstream.clock import slot_start
from fitstream.errors import NotFound, Unavailable
from fitstream.merge import Row
from fitstream.repo import trace, weeks
from fitstream.repo.database import Repo
from fitstream.repo.trace import MemberOf, WeekAt
from fitstream.repo.weeks import WeekVersion
from fitstream.store import Store

T = TypeVar("T")
_WEEKS = 10
_VERSIONS = 10
_DATASETS = 50
_NOT_ROLLED = "the week has not been rolled yet"
_NO_DATASET = "no dataset holds the week: no run since it was rolled, or no consent"


class Traced(NamedTuple):
    """Rows of one customer that are looked for, as (slot, device id, row)."""

    customer_no: int
    rows: Sequence[tuple[int, str, Row]]


class _Facts(NamedTuple):
    """What the database knows of a week and of what rests on it."""

    versions: list[WeekVersion]
    members: list[MemberOf]
    runs: list[TracedRun]
    models: list[TracedModel]
    forecasts: list[TracedForecast]


async def traced_weeks(repo: Repo, store: Store, traced: Traced) -> list[TracedWeek]:
    """The newest weeks of the rows with all that was made of them."""
    slots = [slot for slot, _, _ in traced.rows]
    async with repo.connection() as db:
        found = await trace.weeks_at(db, traced.customer_no, slots, _WEEKS)
    return [await _traced_week(repo, store, traced, week) for week in found]


async def _traced_week(repo: Repo, store: Store, traced: Traced, week: WeekAt) -> TracedWeek:
    facts = await _facts(repo, traced.customer_no, week.week)
    rows = [row for row in traced.rows if week.start_slot <= row[0] < week.end_slot]
    versions = [await _traced_version(store, each, rows) for each in facts.versions[:_VERSIONS]]
    datasets = [TracedDataset(each.dataset_hash, each.version) for each in facts.members]
    no_run = "no training run on such a dataset" if datasets else "there is no dataset"
    no_model = "no run has made a model (yet)" if facts.runs else "there is no run"
    return TracedWeek(
        week=week.week,
        start=slot_start(week.start_slot),
        end=slot_start(week.end_slot),
        state=week.state,
        current_version=week.current_version,
        versions=_hop(versions, _NOT_ROLLED),
        datasets=_hop(datasets, _NO_DATASET if versions else _NOT_ROLLED),
        runs=_hop(facts.runs, no_run),
        models=_hop(facts.models, no_model),
        forecasts=_hop(facts.forecasts, "no latest forecast rests on the week"),
    )


async def _facts(repo: Repo, customer_no: int, week: str) -> _Facts:
    async with repo.transaction("repeatable_read", readonly=True) as db:
        versions = await weeks.list_versions(db, customer_no, week)
        members = await trace.members_of(db, customer_no, week, _DATASETS)
        hashes = [member.dataset_hash for member in members]
        runs = await trace.runs_on(db, hashes)
        models = await trace.models_on(db, hashes)
        forecasts = await trace.forecasts_on(db, customer_no, week)
    return _Facts(
        versions,
        members,
        [TracedRun(**msgspec.structs.asdict(run)) for run in runs],
        [TracedModel(**msgspec.structs.asdict(model)) for model in models],
        [TracedForecast(**msgspec.structs.asdict(forecast)) for forecast in forecasts],
    )


async def _traced_version(
    store: Store, version: WeekVersion, rows: Sequence[tuple[int, str, Row]]
) -> TracedVersion:
    return TracedVersion(
        version=version.version,
        created_at=version.created_at,
        reason=version.reason,
        holds=await _holds(store, version.files, rows),
        objects=[file["key"] for file in version.files],
    )


async def _holds(
    store: Store, files: list[dict[str, Any]], rows: Sequence[tuple[int, str, Row]]
) -> int | None:
    """How many of the rows stand in a version's file; None when it cannot be read now."""
    keys = {file["kind"]: file["key"] for file in files}
    kind = "originals" if "originals" in keys else "week"
    try:
        body = await store.get(keys[kind])
    except (NotFound, Unavailable):
        return None
    held = await asyncio.to_thread(_decoded, kind, body)
    return sum(held.get((slot, device)) == _content(row) for slot, device, row in rows)


def _decoded(kind: str, body: bytes) -> dict[tuple[int, str], tuple[Any, ...]]:
    # Loaded at the first trace: a gateway needs no pyarrow for anything else.
    entries = getattr(import_module("fitstream.weekfile"), f"decode_{kind}")(body)
    return {
        (entry["slot"], entry["device_id"]): (
            entry["rev"], entry["deleted"], tuple(entry["values"]),
        )
        for entry in entries
    }  # fmt: skip


def _content(row: Row) -> tuple[Any, ...]:
    return row.rev, row.deleted, tuple(row.values)


def _hop(items: list[T], why: str) -> Hop[T]:
    return Hop(items, None if items else why)
