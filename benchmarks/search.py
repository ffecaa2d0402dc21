"""One search by one worker and by two: the same model, byte for byte, and how long each took."""

import asyncio
import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.ingest import seed_people
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, process, stack
from fitstream.ids import new_id
from fitstream.repo import jobs, models
from fitstream.repo.database import open_repo
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewRun
from fitstream.store import open_store
from fitstream.tasks.dataset import Manifest, Part, folder
from fitstream.trainer.data import TARGETS
from fitstream.trainer.recipe import Recipe, recipe_hash

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"
_PROGRAMME = 1
_WORKERS = (1, 2)


class Search(NamedTuple):
    """What one run came to, and when."""

    workers: int
    seconds: float
    candidates: int
    candidate_s: float
    model_sha: str
    board: list[Any]


def run(budget: int = 240) -> Report:
    """A run on the dataset with so many seconds of search, once with each number of workers."""
    with stack() as running:
        asyncio.run(seed_people(running, 1))
        with process(running, "consume", "dispatcher"):
            found = [_search(running, number, budget) for number in _WORKERS]
    one, two = found
    is_same = one.model_sha == two.model_sha and one.board == two.board
    text = f"{one.seconds:.0f} s and {two.seconds:.0f} s, {one.candidates} candidates"
    bars = [
        Bar("search by 1 and 2 workers, time", text, "shorter", two.seconds < one.seconds),
        Bar("search by 1 and 2 workers, model", "same bytes" if is_same else "differ", "same",
            is_same),
    ]  # fmt: skip
    rows = [{k: v for k, v in each._asdict().items() if k != "board"} for each in found]
    return Report(rows, bars, {"budget": budget})


def _search(running: Stack, workers: int, budget: int) -> Search:
    with ExitStack() as crew:
        for _ in range(workers):
            crew.enter_context(process(running, "worker", FITSTREAM_WORKER_QUEUES="train"))
        return asyncio.run(_one(running, workers, Recipe(budget_s=budget)))


async def _one(running: Stack, workers: int, recipe: Recipe) -> Search:
    dataset_hash = new_id("hash")
    async with open_repo(running.settings) as repo, open_store(running.settings) as store:
        home = folder(_PROGRAMME, dataset_hash)
        stored = await store.put_new(f"{home}/part-00.parquet", _part())
        manifest = Manifest(dataset_hash, [Part(stored.key, stored.sha256)], [])
        await store.put_new(f"{home}/manifest.json", msgspec.json.encode(manifest))
        plain = msgspec.to_builtins(recipe)
        new = NewJob(
            kind="train_cohort", queue="train", dedupe_key=dataset_hash, programme_no=_PROGRAMME
        )
        async with repo.transaction() as db:
            await db.execute("UPDATE model SET stage = 'retired'")  # each run without a champion
            run_id = await jobs.insert_job(db, new)
            await models.insert_run(
                db,
                NewRun(
                    job_id=run_id, programme_no=_PROGRAMME, scope="cohort", recipe=plain,
                    recipe_hash=recipe_hash(recipe), dataset_hash=dataset_hash, customers=0,
                    weeks=0,
                ),
            )  # fmt: skip
        while True:
            async with repo.connection() as db:
                job = await jobs.get_job(db, run_id)
                children = await jobs.children_of(db, run_id)
            if job.state in ("succeeded", "failed", "cancelled"):
                break
            await asyncio.sleep(0.2)
        if job.state != "succeeded" or job.started_at is None or job.done_at is None:
            raise RuntimeError(f"the run {job.state}: {job.error}")
        async with repo.connection() as db:
            model = await models.get_model(db, job.result["model"])
    took = (job.done_at - job.started_at).total_seconds()
    trained = [child for child in children if child.kind == "train_candidate"]
    spent = sum(child.result["trial"]["seconds"] for child in trained)
    board = [
        {k: v for k, v in row.items() if k != "seconds"} for row in model.metrics["leaderboard"]
    ]
    return Search(workers, round(took, 1), len(trained), round(spent, 1), model.sha256, board)


def _part() -> bytes:
    """The wearers as a part of a pinned dataset."""
    table = pq.read_table(_DATASET)
    local = pc.cast(table["slot_local"], pa.timestamp("us"))
    columns = {
        "customer_id": pc.cast(table["wearer"], pa.string()),
        "slot": pc.divide(pc.cast(local, pa.int64()), 900_000_000),
        "local": local,
    } | {target: pc.cast(table[target], pa.float32()) for target in TARGETS}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()
