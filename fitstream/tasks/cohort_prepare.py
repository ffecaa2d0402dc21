"""Pins what a cohort run will read: week versions, dataset files, recipe; then plans the run."""

import asyncio
import io
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.errors import Conflict, FitstreamError
from fitstream.repo import jobs, models
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewRun, PinnedWeek
from fitstream.store import Store
from fitstream.tasks.context import JobContext
from fitstream.trainer.recipe import Recipe, recipe_hash

_HISTORY_WEEKS = 26
_PART_WEEKS = 500
_AT_ONCE = 16
_TELL_EVERY = 50
COLUMNS = ["customer_id", "slot", "local", "steps", "calories_kcal", "heart_rate_bpm"]


async def cohort_prepare(context: JobContext) -> None:
    """Ends with a queued training run, or with the reason why there is none."""
    since = (context.now() - timedelta(weeks=_HISTORY_WEEKS)).isocalendar()
    first_week = f"{since.year:04d}-W{since.week:02d}"
    async with context.repo.connection() as db:
        weeks = await models.consenting_weeks(db, context.programme_no, first_week)
    if not weeks:
        verdict = "nobody who consents to training has a finished week yet"
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
        return
    dataset_hash = hash_of(weeks)
    recipe = _recipe(context)
    await _write_dataset(context, dataset_hash, weeks)
    await _plan(context, dataset_hash, weeks, recipe)


def hash_of(weeks: list[PinnedWeek]) -> str:
    """Dataset hash: which weeks, in which version, with which content."""
    pinned = [(w.customer_id, w.week, w.version, w.content_sha) for w in weeks]
    return sha256(msgspec.json.encode(sorted(pinned))).hexdigest()


def folder(programme_no: int, dataset_hash: str) -> str:
    """Where a dataset lies in S3."""
    return f"datasets/{programme_no}/{dataset_hash}"


def _recipe(context: JobContext) -> Recipe:
    payload = context.job.payload
    budget_s = int(payload.get("budget_s") or context.settings.train_budget_s)
    if "targets" in payload:
        return Recipe(budget_s=budget_s, targets=tuple(payload["targets"]))
    return Recipe(budget_s=budget_s)


async def _write_dataset(context: JobContext, dataset_hash: str, weeks: list[PinnedWeek]) -> None:
    """The weeks as a few larger files, with a manifest of the versions in them."""
    home = folder(context.programme_no, dataset_hash)
    parts = []
    for number, first in enumerate(range(0, len(weeks), _PART_WEEKS)):
        chosen = weeks[first : first + _PART_WEEKS]
        tell = partial(_tell, context, first, len(weeks))
        tables = await read_weeks(context.store, chosen, tell)
        key = f"{home}/part-{number:02d}.parquet"
        parts.append({"key": key, "sha256": await _put(context.store, key, _joined(tables))})
    manifest: dict[str, Any] = {
        "dataset_hash": dataset_hash,
        "parts": parts,
        "weeks": [
            {"customer_id": w.customer_id, "week": w.week, "version": w.version} for w in weeks
        ],
    }
    await _put(context.store, f"{home}/manifest.json", msgspec.json.encode(manifest))


def _tell(context: JobContext, before: int, of: int, done: int) -> None:
    context.tell(phase="dataset", weeks=before + done, of=of)


async def read_weeks(
    store: Store, weeks: Sequence[PinnedWeek], tell: Callable[[int], None]
) -> list[Any]:
    """The files of weeks as tables in their order, a few fetched at once; `tell` hears how many
    are there. Raises Unavailable, and leaves no fetch behind then."""
    tables: list[Any] = [None] * len(weeks)
    waiting = list(enumerate(weeks))[::-1]
    done = 0

    async def fetch() -> None:
        nonlocal done
        while waiting:
            at, week = waiting.pop()
            tables[at] = await _read_week(store, week)
            done += 1
            if done % _TELL_EVERY == 0 or done == len(weeks):
                tell(done)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(fetch())
    except* FitstreamError as errors:
        raise errors.exceptions[0] from None
    return tables


async def _put(store: Store, key: str, body: bytes) -> str:
    """Stores an object of the dataset; one written by another version of pyarrow may stay."""
    try:
        return (await store.put_new(key, body)).sha256
    except Conflict:
        return sha256(await store.get(key)).hexdigest()


async def _read_week(store: Store, week: PinnedWeek) -> Any:
    key = next(file["key"] for file in week.files if file["kind"] == "week")
    body = await store.get(key)
    table = await asyncio.to_thread(pq.read_table, io.BytesIO(body), columns=COLUMNS)
    return table.set_column(0, "customer_id", table.column("customer_id").cast(pa.string()))


def _joined(tables: list[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
    return sink.getvalue()


async def _plan(
    context: JobContext, dataset_hash: str, weeks: list[PinnedWeek], recipe: Recipe
) -> None:
    """Inserts the run (once per dataset and recipe) and ends this job, in one transaction.

    A run that has failed or was cancelled is done again; one that succeeded stands for this one.
    """
    named = recipe_hash(recipe)
    new_job = NewJob(
        kind="train_cohort",
        queue="train",
        dedupe_key=f"train:{dataset_hash}:{named}",
        payload={"dataset_hash": dataset_hash, "recipe": msgspec.to_builtins(recipe)},
        programme_no=context.programme_no,
        parent_id=context.job.id,
    )
    async with context.repo.transaction() as db:
        run_id = await jobs.insert_or_repeat(db, new_job)
        await models.insert_run(
            db,
            NewRun(
                job_id=run_id,
                programme_no=context.programme_no,
                scope="cohort",
                recipe=msgspec.to_builtins(recipe),
                recipe_hash=named,
                dataset_hash=dataset_hash,
                customers=len({week.customer_no for week in weeks}),
                weeks=len(weeks),
            ),
        )
        await models.insert_members(db, dataset_hash, weeks)
        await jobs.finish_job(db, context.job, "succeeded", {"run": run_id})
