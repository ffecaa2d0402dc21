"""Training runs on real Postgres and S3: synthetic wearers' datasets, and who does the jobs."""

import io
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.ids import new_id
from fitstream.repo import customers, jobs, models
from fitstream.repo.customers import Customer, NewCustomer, Programme
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewRun
from fitstream.settings import Settings
from fitstream.store import Store
from fitstream.tasks.child import task_of
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import Manifest, Part, folder
from fitstream.trainer.data import SLOTS, TARGETS, Series, load
from fitstream.trainer.fit import train_cohort
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.registry import dump
from tests.unit.trainer_factories import make_series

RECIPE = Recipe(
    history_days=8, reach_slots=1, budget_s=2, test_days=3, targets=("steps",), max_windows=12
)
QUICK = msgspec.structs.replace(RECIPE, budget_s=1)  # two candidates, one rung
GENEROUS = {"train_memory_bytes": 2**44, "train_device": "cpu"}
Task = Callable[[JobContext], Awaitable[None]]


async def programme_of(repo: Repo, people: int) -> tuple[Programme, list[Customer]]:
    """A programme that nobody else uses, with customers who consent to training."""
    async with repo.transaction() as db:
        programme = await customers.create_programme(db, new_id("prog"), "Training")
        made = [
            await customers.create_customer(
                db, NewCustomer(programme=programme.id, consents={"training": True})
            )
            for _ in range(people)
        ]
    return programme, made


async def put_dataset(
    store: Store, programme_no: int, series: Mapping[str, Series], dataset_hash: str
) -> None:
    """The series as a pinned dataset."""
    home = folder(programme_no, dataset_hash)
    stored = await store.put_new(f"{home}/part-00.parquet", part_of(series))
    manifest = Manifest(dataset_hash, [Part(stored.key, stored.sha256)], [])
    await store.put_new(f"{home}/manifest.json", msgspec.json.encode(manifest))


def part_of(series: Mapping[str, Series]) -> bytes:
    """A file of a dataset: days that were not worn are left out."""
    columns: dict[str, list[Any]] = {name: [] for name in ("customer_id", "slot", "local")}
    columns |= {target: [] for target in TARGETS}
    for name, each in sorted(series.items()):
        midnight = datetime.combine(each.first_day, time())
        for day in np.flatnonzero(each.wear).tolist():
            for slot in range(SLOTS):
                columns["customer_id"].append(name)
                columns["slot"].append(day * SLOTS + slot)
                columns["local"].append(midnight + timedelta(days=day, minutes=15 * slot))
                for target in TARGETS:
                    value = float(each.values[target][day, slot])
                    columns[target].append(None if np.isnan(value) else value)
    table = pa.table(columns | {"local": pa.array(columns["local"], pa.timestamp("us"))})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


async def start_run(
    repo: Repo,
    programme: Programme,
    dataset: tuple[str, list[Customer]],
    recipe: Recipe = RECIPE,
) -> str:
    """The id of a cohort run as a preparation leaves it."""
    dataset_hash, members = dataset
    plain = msgspec.to_builtins(recipe)
    new = NewJob(
        kind="train_cohort", queue="train", dedupe_key=new_id("train"), payload={"recipe": plain},
        programme_no=programme.programme_no,
    )  # fmt: skip
    run = NewRun(
        job_id="", programme_no=programme.programme_no, scope="cohort", recipe=plain,
        recipe_hash=recipe_hash(recipe), dataset_hash=dataset_hash, customers=len(members), weeks=1,
    )  # fmt: skip
    async with repo.transaction() as db:
        run_id = await jobs.insert_job(db, new)
        await models.insert_run(db, msgspec.structs.replace(run, job_id=run_id))
        await db.executemany(
            "INSERT INTO dataset_member VALUES ($1, $2, '2026-W40', 1) ON CONFLICT DO NOTHING",
            [(dataset_hash, member.customer_no) for member in members],
        )
    return run_id


async def do(repo: Repo, store: Store, settings: Settings, job_id: str) -> None:
    """One job in this process, as a worker's child does it."""
    settings = msgspec.structs.replace(settings, **GENEROUS)
    async with repo.transaction() as db:
        claimed = await jobs.claim_job(db, job_id, "test", 600)
    assert claimed is not None, f"{job_id} is not due"
    await task_of(claimed)(JobContext(claimed, repo, store, settings))


async def due_of(repo: Repo, run_id: str) -> list[str]:
    """Ids of what may be done now of a run: itself, or its candidates."""
    async with repo.connection() as db:
        rows = await db.fetch(
            "SELECT id FROM job WHERE (id = $1 OR parent_id = $1) AND state = 'queued'"
            " AND kind LIKE 'train%' ORDER BY created_at, id", run_id,
        )  # fmt: skip
    return [row["id"] for row in rows]


async def do_all(repo: Repo, store: Store, settings: Settings, run_id: str) -> None:
    """The whole run, one job after the other."""
    while due := await due_of(repo, run_id):
        await do(repo, store, settings, due[0])


async def state_of(repo: Repo, job_id: str) -> str:
    async with repo.connection() as db:
        return (await jobs.get_job(db, job_id)).state


class Case:
    """A programme with a pinned dataset and a run on it."""

    def __init__(self, repo: Repo, store: Store, settings: Settings) -> None:
        self.repo, self.store = repo, store
        self.settings = msgspec.structs.replace(settings, train_share_from_s=1.0)
        self.hash = new_id("hash")

    async def begin(self, people: int = 4, days: int = 12, recipe: Recipe = RECIPE) -> str:
        """The id of a queued run."""
        self.programme, self.people = await programme_of(self.repo, people)
        self.series = {
            person.id: make_series(person.id, days, seed) for seed, person in enumerate(self.people)
        }
        await self.pin(self.hash, self.people)
        return await start_run(self.repo, self.programme, (self.hash, self.people), recipe)

    async def pin(self, dataset_hash: str, people: list[Customer]) -> None:
        """A dataset of some of them."""
        series = {person.id: self.series[person.id] for person in people}
        await put_dataset(self.store, self.programme.programme_no, series, dataset_hash)

    async def do(self, job_id: str) -> None:
        await do(self.repo, self.store, self.settings, job_id)

    async def do_all(self, run_id: str) -> None:
        await do_all(self.repo, self.store, self.settings, run_id)

    async def state(self, job_id: str) -> str:
        return await state_of(self.repo, job_id)

    async def model(self) -> models.Model:
        async with self.repo.connection() as db:
            found = await models.champion(db, self.programme.programme_no)
        assert found is not None
        return found

    async def models(self) -> int:
        async with self.repo.connection() as db:
            count: int = await db.fetchval(
                "SELECT count(*) FROM model WHERE programme_no = $1", self.programme.programme_no
            )
        return count

    def reference(self, recipe: Recipe = RECIPE) -> tuple[bytes, Any]:
        """Model and card of the same run in one process."""
        names = {person.id: self.series[person.id] for person in self.people}
        made = train_cohort(known(names), recipe, lambda *_: None)
        assert made.artifact is not None
        body, card = dump(made.artifact, dataset_hash=self.hash, created_at="")
        return body, untimed(card)


def known(series: dict[str, Series]) -> dict[str, Series]:
    """As a dataset gives them back: wear is judged by the steps of a day."""
    return load([part_of(series)])


def untimed(value: Any) -> Any:
    if isinstance(value, dict):
        taken = {"seconds", "cpu_seconds", "created_at"}
        return {k: untimed(each) for k, each in value.items() if k not in taken}
    return [untimed(each) for each in value] if isinstance(value, list) else value
