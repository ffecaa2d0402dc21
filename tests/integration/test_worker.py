"""A worker that is told to stop, or whose child dies: what becomes of the job it had claimed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arq.worker import Worker

from fitstream import worker
from fitstream.consumers.dispatcher import Dispatcher
from fitstream.ids import new_id
from fitstream.jobs import open_jobs
from fitstream.repo import jobs
from fitstream.repo.database import Repo
from fitstream.repo.jobs import ClaimedJob, Job, NewJob
from fitstream.settings import Settings
from fitstream.store import open_store
from tests.real import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning"),  # of arq
]


@pytest.fixture
async def job_id(repo: Repo) -> AsyncIterator[str]:
    """A job in a queue that nobody else serves."""
    queue = new_id("queue")
    new = NewJob(kind="test", queue=queue, dedupe_key=queue)
    async with repo.transaction() as db:
        made = await jobs.insert_job(db, new)
    yield made
    async with repo.transaction() as db:
        await db.execute("UPDATE job SET state = 'cancelled' WHERE id = $1", made)


async def job_of(repo: Repo, job_id: str) -> Job:
    async with repo.connection() as db:
        return await jobs.get_job(db, job_id)


def does(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """What a child does instead of the job."""

    def command(_: ClaimedJob) -> list[str]:
        return [sys.executable, "-c", code]

    monkeypatch.setattr(worker, "child_command", command)


def is_alive(pid: int) -> bool:
    """Whether a process still runs: a zombie that nobody has collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@asynccontextmanager
async def working(services: Settings, queue: str) -> AsyncIterator[asyncio.Event]:
    """A worker of `queue`; told to stop at the end, if it was not before."""
    settings = msgspec.structs.replace(services, worker_queues=queue, metrics_port=0)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run_worker(settings, stop))
    try:
        yield stop
    finally:
        stop.set()
        await running


async def test_a_worker_that_is_told_to_stop_gives_its_job_back_without_an_attempt(
    services: Settings, repo: Repo, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, "import time; time.sleep(60)")
    queue = (await job_of(repo, job_id)).queue

    async def is_running() -> bool:
        return (await job_of(repo, job_id)).state == "running"

    async with open_jobs(services) as doorbell:
        dispatcher = Dispatcher(repo, doorbell, services)
        async with working(services, queue):
            await dispatcher.ring_due()
            await eventually(is_running)
        found = await job_of(repo, job_id)
        assert (found.state, found.attempts, found.error) == ("queued", 0, None)
        does(monkeypatch, "raise SystemExit(9)")
        async with working(services, queue):  # told again at once, not after the lease
            await dispatcher.ring_due()

            async def has_ended() -> bool:
                return (await job_of(repo, job_id)).state == "failed"

            await eventually(has_ended)
    assert (await job_of(repo, job_id)).attempts == 1


async def test_a_worker_that_is_told_to_stop_as_a_job_ends_stops_cleanly(
    services: Settings, repo: Repo, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, "raise SystemExit(9)")
    queue = (await job_of(repo, job_id)).queue
    ending = asyncio.Event()
    finish_job = Worker.finish_job

    async def slowly(self: Worker, *args: Any) -> None:
        ending.set()
        await asyncio.sleep(0.3)
        await finish_job(self, *args)

    monkeypatch.setattr(Worker, "finish_job", slowly)
    async with open_jobs(services) as doorbell, working(services, queue):
        await Dispatcher(repo, doorbell, services).ring_due()
        await asyncio.wait_for(ending.wait(), 20)
    assert (await job_of(repo, job_id)).state == "failed"


async def test_a_job_whose_worker_died_and_that_was_cancelled_meanwhile_does_not_run_again(
    services: Settings, repo: Repo, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, "pass")  # it would succeed at once
    queue = (await job_of(repo, job_id)).queue
    async with repo.transaction() as db:
        await jobs.claim_job(db, job_id, "a worker that is gone", 0.0)
        await jobs.cancel(db, job_id)

    async def is_over() -> bool:
        return (await job_of(repo, job_id)).state not in ("queued", "running")

    async with open_jobs(services) as doorbell:
        dispatcher = Dispatcher(repo, doorbell, services)
        async with working(services, queue):
            await dispatcher.ring_due()
            await eventually(is_over)
    assert (await job_of(repo, job_id)).state == "cancelled"


async def test_cancel_ends_the_running_child_and_whatever_it_has_started(
    services: Settings, repo: Repo, job_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    grandchild = "import time; time.sleep(60)"
    does(
        monkeypatch,
        "import os, pathlib, subprocess, sys, time\n"
        f"other = subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{other.pid}}')\n"
        "time.sleep(60)",
    )
    async with open_store(services) as store:
        running = asyncio.create_task(worker.JobRunner(repo, services, store).run(job_id))

        async def has_begun() -> bool:
            return pids.exists() and len(pids.read_text().split()) == 2

        await eventually(has_begun)
        async with repo.transaction() as db:
            await jobs.cancel(db, job_id)
        await running

    async def are_gone() -> bool:
        return not any(is_alive(int(pid)) for pid in pids.read_text().split())

    assert (await job_of(repo, job_id)).state == "cancelled"
    await eventually(are_gone)


async def test_training_that_takes_longer_than_allowed_is_ended_and_has_failed(
    services: Settings, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_RENEW_EVERY_S", 0.1)
    does(monkeypatch, "import time; time.sleep(60)")
    settings = msgspec.structs.replace(services, train_timeout_s=0.3)
    queue = new_id("queue")
    async with repo.transaction() as db:
        new = NewJob(kind="train_candidate", queue=queue, dedupe_key=queue)
        job_id = await jobs.insert_job(db, new)
    async with open_store(settings) as store, asyncio.timeout(30):
        await worker.JobRunner(repo, settings, store).run(job_id)
    found = await job_of(repo, job_id)
    assert (found.state, found.error) == ("failed", "took longer than allowed and was ended")


async def test_training_that_takes_more_memory_than_allowed_fails_with_the_reason(
    services: Settings, repo: Repo, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(
        monkeypatch,
        "from fitstream.tasks.memory import limit_memory\n"
        "limit_memory(300_000_000)\n"
        "bytearray(600_000_000)",
    )
    async with open_store(services) as store, asyncio.timeout(30):
        await worker.JobRunner(repo, services, store).run(job_id)
    found = await job_of(repo, job_id)
    assert (found.state, found.error) == ("failed", "MemoryError")


@pytest.mark.parametrize("is_hidden", [False, True], ids=["in its group", "in another session"])
async def test_neither_an_endless_line_nor_a_left_over_process_holds_a_job(
    services: Settings,
    repo: Repo,
    job_id: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_hidden: bool,
) -> None:
    pid = tmp_path / "pid"
    monkeypatch.setattr(worker, "_LAST_LINES_S", 0.5)
    does(
        monkeypatch,
        "import pathlib, subprocess, sys\n"
        "print('x' * 3_000_000)\n"
        "print('y' * 3_000_000, file=sys.stderr)\n"
        "sleeping = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        f"left = subprocess.Popen(sleeping, start_new_session={is_hidden})\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(left.pid))\n"
        "sys.exit('what was wrong')",
    )
    async with open_store(services) as store, asyncio.timeout(30):
        await worker.JobRunner(repo, services, store).run(job_id)
    found = await job_of(repo, job_id)
    assert found.state == "failed"
    if is_hidden:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    else:
        assert found.error == "what was wrong"


@pytest.mark.parametrize(
    ("code", "spent"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", (1, 0)),
        ("raise SystemExit(75)", (0, 1)),  # a service was away
    ],
)
async def test_a_killed_child_costs_an_attempt_and_an_outage_none(
    services: Settings,
    repo: Repo,
    job_id: str,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    spent: tuple[int, int],
) -> None:
    attempts, waits = spent
    does(monkeypatch, code)
    async with open_store(services) as store:
        await worker.JobRunner(repo, services, store).run(job_id)
    found = await job_of(repo, job_id)
    assert (found.state, found.attempts) == ("queued", attempts)
    async with repo.connection() as db:
        assert await db.fetchval("SELECT waits FROM job WHERE id = $1", job_id) == waits
        assert await db.fetchval("SELECT run_after > now() FROM job WHERE id = $1", job_id)


@pytest.mark.slow
async def test_who_waits_for_ever_fails_at_last(
    services: Settings, repo: Repo, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, "raise SystemExit(75)")
    settings = msgspec.structs.replace(services, job_attempts_max=1)
    async with repo.connection() as db:
        await db.execute("UPDATE job SET waits = 1000 WHERE id = $1", job_id)
    for _ in range(2):
        async with repo.connection() as db:
            await db.execute("UPDATE job SET run_after = now() WHERE id = $1", job_id)
        async with open_store(services) as store:
            await worker.JobRunner(repo, settings, store).run(job_id)
    found = await job_of(repo, job_id)
    assert (found.state, found.error) == ("failed", "gave up after 1 attempts")
