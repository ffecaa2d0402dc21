"""Two real workers on one search, a child of which is killed: the model of a single process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec
import psutil
import pytest

from fitstream.consumers.dispatcher import Dispatcher
from fitstream.jobs import open_jobs
from fitstream.repo import jobs
from fitstream.repo.database import Repo
from fitstream.settings import PREFIX, Settings
from fitstream.store import Store, open_store
from tests.conftest import clean_environ
from tests.training import RECIPE, Case

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(560)]
# wide enough that a candidate trains for seconds: it is killed in the middle
WIDE = msgspec.structs.replace(RECIPE, budget_s=13, max_windows=200, history_days=28, reach_slots=2)


@pytest.fixture
async def store(services: Settings) -> AsyncIterator[Store]:
    async with open_store(services) as opened:
        yield opened


@contextmanager
def workers(settings: Settings, count: int) -> Iterator[list[int]]:
    """Processes of `fitstream worker` that serve the queue of training; their ids."""
    shown = {
        f"{PREFIX}{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in msgspec.structs.asdict(settings).items()
        if value != ""
    }
    own = {f"{PREFIX}WORKER_QUEUES": "train", f"{PREFIX}METRICS_PORT": "0"}
    environ = clean_environ(**shown | own)
    command = [sys.executable, "-m", "fitstream", "worker"]
    crew = [subprocess.Popen(command, env=environ) for _ in range(count)]
    try:
        yield [each.pid for each in crew]
    finally:
        for each in crew:
            each.terminate()
        for each in crew:
            each.wait(30)


async def test_two_workers_and_a_killed_child_come_to_the_model_of_one_process(
    repo: Repo, store: Store, services: Settings
) -> None:
    redis = services.redis.rpartition("/")[0] + "/7"  # no other worker hears the bell
    settings = msgspec.structs.replace(
        services, redis=redis, train_share_from_s=1.0, job_lease_s=6.0, job_resend_s=3.0
    )
    case = Case(repo, store, settings)
    run_id = await case.begin(people=6, days=24, recipe=WIDE)
    killed: list[str] = []
    owners: set[str] = set()
    async with open_jobs(settings) as doorbell:
        dispatcher = Dispatcher(repo, doorbell, settings)
        with workers(settings, 2) as pids:
            async with asyncio.timeout(500):
                while await case.state(run_id) not in ("succeeded", "failed", "cancelled"):
                    await dispatcher.ring_due()
                    killed += [] if killed else await kill_one(repo, run_id, pids)
                    owners |= await owners_of(repo, run_id)
                    await asyncio.sleep(0.1)
    async with repo.connection() as db:
        run = await jobs.get_job(db, run_id)
        children = await jobs.children_of(db, run_id)
        attempts = await db.fetchval("SELECT attempts FROM job WHERE id = $1", killed[0])
    assert (run.state, run.error) == ("succeeded", None)
    assert attempts == 2
    assert len(owners) == 2  # both have helped
    candidates = [child for child in children if child.kind == jobs.CANDIDATE]
    assert {child.state for child in candidates} == {"succeeded"}
    model = await case.model()
    body, _ = case.reference(WIDE)
    assert await store.get(model.object_key) == body


async def kill_one(repo: Repo, run_id: str, pids: list[int]) -> list[str]:
    """Kills the child that trains a candidate with a checkpoint; the candidate's job."""
    async with repo.connection() as db:
        job_id = await db.fetchval(
            "SELECT t.job_id FROM training_trial t JOIN job j ON j.id = t.job_id"
            " WHERE t.run_id = $1 AND j.state = 'running' LIMIT 1", run_id,
        )  # fmt: skip
    for pid in pids:
        for child in psutil.Process(pid).children():
            if job_id is not None and job_id in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                return [job_id]
    return []


async def owners_of(repo: Repo, run_id: str) -> set[str]:
    async with repo.connection() as db:
        rows = await db.fetch(
            "SELECT lease_owner FROM job WHERE parent_id = $1 AND lease_owner IS NOT NULL", run_id
        )
    return {row["lease_owner"] for row in rows}
