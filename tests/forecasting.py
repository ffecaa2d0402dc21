"""Forecasts for tests on real services: a programme with a model, its customers, and their jobs."""

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np

from fitstream.clock import DAY_SLOTS, slot_of
from fitstream.events import SampleColumns
from fitstream.ids import new_id
from fitstream.repo import customers, forecasts, jobs, models
from fitstream.repo.customers import Programme
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings
from fitstream.store import Store
from fitstream.tasks.context import JobContext
from fitstream.trainer import registry
from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.data import TARGETS
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.models.climatology import Climatology, pooled
from fitstream.trainer.models.kernel import START
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.registry import Artifact
from fitstream.trainer.windows import Reach
from tests.ledgered import LedgerWearer, new_ledger_wearer
from tests.unit.trainer_factories import make_cohort

GATE_WQL = 0.6


@cache
def some_model() -> Blend:
    """A climatology of six people, made once."""
    days = [(each, each.days) for each in make_cohort(6, 18).values()]
    return Blend(
        Climatology(
            Reach(28, 4),
            {target: START[target] for target in TARGETS},
            {target: pooled(days, target) for target in TARGETS},
            {target: cohort_of(days, target) for target in TARGETS},
        )
    )


async def new_programme(repo: Repo, store: Store) -> tuple[Programme, str]:
    """A programme nobody else uses, and the id of its champion, whose WQL was `GATE_WQL`."""
    model, model_id = some_model(), new_id("mod")
    test = {"weighted_climatology": {"wql": GATE_WQL}}
    report: dict[str, Any] = {
        "champions": dict.fromkeys(TARGETS, "weighted_climatology"),
        "metrics": {target: {"test": test} for target in TARGETS},
    }
    artifact = Artifact(model, Recipe(), report)
    body, card = registry.dump(artifact, dataset_hash="d", created_at="t")
    key = f"models/{model_id}/model.safetensors"
    await store.put_new(key, body)
    await store.put_new(f"models/{model_id}/card.json", msgspec.json.encode(card))
    async with repo.transaction() as db:
        programme = await customers.create_programme(db, new_id("study"), "Study")
        trained = NewJob(kind="none", queue="none", dedupe_key=new_id("job"))
        new = models.NewModel(
            id=model_id, programme_no=programme.programme_no, kind=model.kind, stage="champion",
            job_id=await jobs.insert_job(db, trained), dataset_hash=new_id("hash"),
            metrics=report, object_key=key, sha256=sha256(body).hexdigest(),
        )  # fmt: skip
        await models.insert_model(db, new)
    return programme, model_id


async def new_walker(
    repo: Repo, programme: Programme, until: datetime, days: int, seed: int = 1
) -> LedgerWearer:
    """A customer with so many worn days before `until`; they walk more by day than by night."""
    wearer = await new_ledger_wearer(repo, programme.id)
    await walk(wearer, (slot_of(until) - days * DAY_SLOTS, slot_of(until)), seed)
    return wearer


async def walk(wearer: LedgerWearer, span: tuple[int, int], seed: int = 1, by: float = 1.0) -> None:
    """Rows of the slots [from, to), `by` times as lively as usual."""
    rng = np.random.default_rng(seed)
    for first in range(span[0], span[1], 1000):
        slots = list(range(first, min(first + 1000, span[1])))
        rhythm = np.array([max(0.0, np.sin((s % DAY_SLOTS) / 96 * 2 * np.pi - 1.6)) for s in slots])
        steps = np.round(by * rhythm * rng.gamma(1.0, 200.0, len(slots))).astype(int).clip(0, 6000)
        columns = SampleColumns(
            slot=slots,
            steps=steps.tolist(),
            calories_kcal=(2000 + 4 * steps).tolist(),
            heart_rate_bpm=(600 + steps // 2).tolist(),
        )
        await wearer.put(columns)


async def do_job(
    repo: Repo, store: Store, settings: Settings, task: Any, **fields: Any
) -> dict[str, Any]:
    """Runs a task as its worker would; what the job row says then. `now` moves the clock."""
    now = fields.pop("now", datetime.now(UTC))
    moved = msgspec.structs.replace(
        settings, clock_offset_s=(now - datetime.now(UTC)) / timedelta(seconds=1)
    )
    new = NewJob(**{"kind": "test", "queue": "none", "dedupe_key": new_id("job")} | fields)
    async with repo.transaction() as db:
        job_id = await jobs.insert_job(db, new)
        claimed = await jobs.claim_job(db, job_id, "test", 60.0)
    assert claimed is not None
    await task(JobContext(claimed, repo, store, moved))
    async with repo.connection() as db:
        done = await jobs.get_job(db, job_id)
    assert done.state == "succeeded"
    return done.result


async def forget_jobs(repo: Repo) -> None:
    """Of what was planned nothing waits: a dispatcher of a later test tells oldest jobs first."""
    async with repo.connection() as db:
        await db.execute("UPDATE job SET state = 'cancelled' WHERE state = 'queued'")


class Study:
    """A programme with a model and its walkers, and the jobs of both."""

    def __init__(self, given: tuple[Repo, Store, Settings], made: tuple[Programme, str]) -> None:
        self.repo, self.store, self.settings = given
        self.programme, self.model_id = made
        self.number = self.programme.programme_no

    async def do(self, task: Any, now: datetime, **payload: Any) -> dict[str, Any]:
        """Runs the task in the minute before `now`."""
        about = {"programme_no": self.number, "payload": payload}
        before = now - timedelta(minutes=1)
        return await do_job(self.repo, self.store, self.settings, task, now=before, **about)

    async def walker(self, until: datetime, days: int, seed: int = 1) -> LedgerWearer:
        return await new_walker(self.repo, self.programme, until, days, seed)

    async def latest(self, who: LedgerWearer, horizon: Any, target: str = "steps") -> Any:
        async with self.repo.connection() as db:
            return await forecasts.latest_forecast(db, who.customer_no, target, horizon)

    async def past(self, who: LedgerWearer, horizon: Any = "96") -> list[Any]:
        async with self.repo.connection() as db:
            about = (who.customer_no, ("steps", horizon), None, 50)
            return await forecasts.past_forecasts(db, *about)
