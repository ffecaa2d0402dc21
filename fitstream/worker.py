"""The arq worker: claims a job row, runs it in a child process, and sees to its end.

The child does the work and commits under the lease; this process renews the lease, passes on
progress, and kills the child on cancel, time-out or a lost lease. CPU work never blocks the loop:
what needs no process of its own only waits for others (`tasks/here.py`).
"""

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from arq.worker import Worker, func
from redis.exceptions import RedisError

from fitstream.crash import EXIT_CODE, crash_point
from fitstream.errors import Conflict, Unavailable
from fitstream.jobs import TASK, decode_job, encode_job, open_pool, queue_name
from fitstream.logs import get
from fitstream.metrics import count
from fitstream.monitor import monitored
from fitstream.repo import jobs
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.jobs import ClaimedJob
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks import here
from fitstream.tasks.context import JobContext

log = get(__name__)
_RENEW_EVERY_S = 2.0
_KILL_AFTER_S = 5.0
_STOP_CHILD_S = 1.5  # a worker that is told to stop has a few seconds in all
_GIVE_BACK_S = 2.0
_RINGS_MAX = 3  # a ring that a stopped worker left wakes the next one; the row decides
_WAITS_MAX = 50  # some four hours; from then on a wait is an attempt
_LAST_WORDS_S = 30.0  # between a child's commit and its end
_LAST_LINES_S = 5.0  # for what an ended child has written and nobody has read yet
_ERROR_CHARS = 2000
_LINE_BYTES = 1_048_576
EXIT_RETRY = 75
# A mail is tried until its deadline, and somebody waits for it.
_ATTEMPTS = {"mail": 10_000}
_DELAYS = {"mail": 60.0}
_AT_ONCE = {"light": 2, "mail": 8}  # of jobs of one queue; a mail only waits for its server


class Ended(NamedTuple):
    """How a child ended: exit code, last words, and whether we ended it."""

    code: int
    words: str
    reason: str  # "", "cancelled", "timeout" or "lease_lost"


class JobRunner:
    """Runs claimed jobs in child processes, and those that only wait for others itself."""

    def __init__(self, repo: Repo, settings: Settings, store: Store) -> None:
        self._repo = repo
        self._store = store
        self._settings = settings
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    async def run(self, job_id: str) -> None:
        """One job from claim to end; a job that is done, taken or not due is left alone."""
        async with self._repo.transaction() as db:
            job = await jobs.claim_job(db, job_id, self._owner, self._settings.job_lease_s)
        if job is None:
            return
        crash_point("worker_after_claim")
        log.info("job_started", job_id=job.id, kind=job.kind, attempt=job.attempts)
        if job.is_taken_over:
            count("leases_taken_over", of="job")
            log.warning("lease_taken_over", of="job", job_id=job.id)
        if job.cancel_requested:  # asked for while the worker before us was already dead
            await self._finish(job, "cancelled", None)
            return
        if job.attempts > _ATTEMPTS.get(job.kind, self._settings.job_attempts_max):
            await self._finish(job, "failed", f"gave up after {job.attempts - 1} attempts")
            return
        try:
            is_here = job.kind in here.TASKS
            ended = await (self._run_here(job) if is_here else self._run_child(job))
        except asyncio.CancelledError:  # this worker is told to stop
            await self._give_back(job)
            raise
        await self._conclude(job, ended)

    async def _conclude(self, job: ClaimedJob, ended: Ended) -> None:
        """A child that succeeded has committed by itself; all else is decided here."""
        log.info("job_ended", job_id=job.id, kind=job.kind, code=ended.code, reason=ended.reason)
        if ended.code == EXIT_CODE:
            os._exit(EXIT_CODE)  # a crash point in the child takes its worker along
        if ended.reason == "lease_lost" or (ended.code == 0 and not ended.reason):
            count("jobs_done", kind=job.kind, state="succeeded")
        elif ended.reason == "cancelled":
            await self._finish(job, "cancelled", None)
        elif ended.reason == "timeout":
            await self._finish(job, "failed", "took longer than allowed and was ended")
        elif ended.code == EXIT_RETRY and job.waits < _ATTEMPTS.get(job.kind, _WAITS_MAX):
            await self._wait(job, ended.words)
        elif ended.code == EXIT_RETRY or ended.code < 0:
            await self._retry(job, ended)
        else:
            await self._finish(job, "failed", ended.words or f"exit code {ended.code}")

    async def _wait(self, job: ClaimedJob, words: str) -> None:
        """A service was away, which is not the job's fault: again, later each time."""
        delay_s = _delay_s(job.kind, job.waits + 1)
        async with self._repo.transaction() as db:
            await jobs.wait_for_service(db, job, delay_s, words or "a service was away")
        count("jobs_done", kind=job.kind, state="waiting")

    async def _give_back(self, job: ClaimedJob) -> None:
        """Leaves the job to the next worker; where Postgres is away its lease runs out instead."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_GIVE_BACK_S), self._repo.transaction() as db:
                await jobs.give_back(db, job)
            log.info("job_given_back", job_id=job.id, kind=job.kind)
            count("jobs_done", kind=job.kind, state="given_back")

    async def _retry(self, job: ClaimedJob, ended: Ended) -> None:
        """The child was killed, or has waited for too long: again, later each time, then no more.

        Attempts are counted, so that a job that kills its process does not do so for ever.
        """
        delay_s = _delay_s(job.kind, job.attempts)
        words = ended.words or f"the process was ended by signal {-ended.code}"
        async with self._repo.transaction() as db:
            await jobs.retry_later(db, job, delay_s, words)
        count("jobs_done", kind=job.kind, state="retried")

    async def _finish(self, job: ClaimedJob, state: str, error: str | None) -> None:
        with suppress(Conflict):  # the child's own commit came first
            async with self._repo.transaction() as db:
                await jobs.finish_job(db, job, state, {}, error)
        count("jobs_done", kind=job.kind, state=state)

    async def _run_child(self, job: ClaimedJob) -> Ended:
        child = await asyncio.create_subprocess_exec(
            *child_command(job),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,
        )
        progress: dict[str, Any] = {}
        reading = asyncio.create_task(_read_progress(child, progress))
        words = asyncio.create_task(_read_words(child))
        try:
            reason = await self._watch(job, child.wait, lambda: child.returncode == 0, progress)
        except asyncio.CancelledError:
            await _end(child, _STOP_CHILD_S)
            raise
        finally:
            await _end(child, _KILL_AFTER_S)
        await _read_to_the_end(child, reading, words)
        # A child that even SIGKILL did not end yet has not succeeded.
        code = -signal.SIGKILL if child.returncode is None else child.returncode
        return Ended(code, _outcome(words), reason)

    async def _run_here(self, job: ClaimedJob) -> Ended:
        """The same without a process: the task is cancelled where a child would be killed."""
        context = JobContext(job, self._repo, self._store, self._settings)
        task = asyncio.create_task(here.do_here(context))
        try:
            reason = await self._watch(job, lambda: asyncio.wait([task]), task.done, {})
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_KILL_AFTER_S)
        if reason or task.cancelled() or not task.done():
            return Ended(0, "", reason or "cancelled")
        outcome = task.result()
        if outcome.is_lost:
            return Ended(0, "", "lease_lost")
        code = EXIT_RETRY if outcome.is_retry else int(bool(outcome.words))
        return Ended(code, outcome.words[:_ERROR_CHARS], "")

    async def _watch(
        self,
        job: ClaimedJob,
        wait: Callable[[], Awaitable[object]],
        is_well: Callable[[], bool],
        progress: dict[str, Any],
    ) -> str:
        """Renews the lease until `wait` returns; the reason when we must end the job."""
        deadline = time.monotonic() + _timeout_s(job.kind, self._settings)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(wait(), _RENEW_EVERY_S)
                return ""
            if time.monotonic() > deadline:
                return "timeout"
            try:
                async with self._repo.transaction() as db:
                    lease_s = self._settings.job_lease_s
                    if await jobs.renew_job(db, job, lease_s, progress or None):
                        return "cancelled"
            except Conflict:  # taken over, unless it is the child that has just committed
                with suppress(TimeoutError):
                    await asyncio.wait_for(wait(), _LAST_WORDS_S)
                return "" if is_well() else "lease_lost"
            except Unavailable as error:
                log.warning("waiting", service=error.service, detail=str(error))


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """One arq worker per queue of `settings.worker_queues`, until `stop`."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_store(settings) as store,
    ):
        runner = JobRunner(repo, settings, store)
        pool = await open_pool_or_unavailable(settings)
        workers = [
            _worker(queue.strip(), runner, pool, settings)
            for queue in settings.worker_queues.split(",")
        ]
        running = [asyncio.create_task(worker.async_run()) for worker in workers]
        stopping = asyncio.create_task(stop.wait())
        readiness.is_ready = True
        done, _ = await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*(_close(worker) for worker in workers))
        if stopping not in done:
            raise Unavailable("redis", "an arq worker ended; starting again")


async def _close(worker: Worker) -> None:
    """Cancels what the worker does and waits until it is given back."""
    with suppress(TimeoutError):  # then the lease gives it back
        await asyncio.wait_for(_end_jobs(worker), _KILL_AFTER_S)
    worker.tasks.clear()
    with suppress(RedisError, OSError, TimeoutError):  # it may be why we end
        await asyncio.wait_for(worker.close(), _KILL_AFTER_S)


async def _end_jobs(worker: Worker) -> None:
    """Cancels each job once. Not the task around it, as arq does: one that was just writing that
    its job has ended would be cut off there, and closing then fails with its cancellation."""
    told: set[asyncio.Task[Any]] = set()
    while left := [task for task in worker.tasks.values() if not task.done()]:
        for job in set(worker.job_tasks.values()) - told:
            job.cancel()
            told.add(job)
        await asyncio.wait(left, timeout=0.1)  # a task that has just begun has no job yet


def _delay_s(kind: str, times: int) -> float:
    """Seconds until the next try after so many: doubled each time, spread, minutes at most."""
    most = _DELAYS.get(kind, 300.0)
    return float(min(2.0 ** min(times, 10), most) * random.uniform(0.75, 1.25))


def _worker(queue: str, runner: JobRunner, pool: Any, settings: Settings) -> Worker:
    async def run_job(ctx: dict[Any, Any], job_id: str) -> None:  # noqa: ARG001
        try:
            await runner.run(job_id)
        except (Unavailable, Conflict) as error:
            log.warning("job_left", job_id=job_id, detail=str(error))  # rung again from its row

    return Worker(
        functions=[
            func(run_job, name=TASK, timeout=_longest_s(settings) + 60, max_tries=_RINGS_MAX)
        ],
        queue_name=queue_name(queue),
        redis_pool=pool,
        handle_signals=False,
        max_jobs=_AT_ONCE.get(queue, 1),
        keep_result=0,
        poll_delay=0.2,
        health_check_interval=15,
        job_serializer=encode_job,
        job_deserializer=decode_job,
        allow_abort_jobs=False,
    )


async def open_pool_or_unavailable(settings: Settings) -> Any:
    """arq's pool; raises Unavailable when Redis does not answer."""
    try:
        return await open_pool(settings)
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("redis", str(error)) from error


def child_command(job: ClaimedJob) -> list[str]:
    """What does a claimed job: a process that ends with this one."""
    about = (job.id, str(job.lease_epoch), str(os.getpid()))
    return [sys.executable, "-m", "fitstream", "job", *about]


def _longest_s(settings: Settings) -> float:
    return max(settings.train_timeout_s, settings.forecast_timeout_s, settings.upload_timeout_s)


def _timeout_s(kind: str, settings: Settings) -> float:
    if kind.startswith("upload_"):
        return settings.upload_timeout_s
    return settings.train_timeout_s if kind.startswith("train_") else settings.forecast_timeout_s


async def _read_progress(child: asyncio.subprocess.Process, progress: dict[str, Any]) -> None:
    """Lines of JSON on the child's output are its progress; the last one counts."""
    if child.stdout is None:
        return
    async for line in _lines(child.stdout):
        with suppress(msgspec.DecodeError):
            progress.update(msgspec.json.decode(line, type=dict[str, Any]))


async def _read_words(child: asyncio.subprocess.Process) -> str:
    """The child's log passes through; its last line explains a failure."""
    last = ""
    if child.stderr is None:
        return last
    async for line in _lines(child.stderr):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
        last = line.decode(errors="replace").strip() or last
    return _detail(last)[:_ERROR_CHARS]


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Line by line to the end; one that is longer than the limit is passed over."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line


async def _read_to_the_end(child: asyncio.subprocess.Process, *readers: asyncio.Task[Any]) -> None:
    """Waits for the readers of an ended child. A process that it left behind holds them open: it is
    killed, and where it has hidden in a session of its own they are given up."""
    _, still = await asyncio.wait(readers, timeout=_LAST_LINES_S)
    if still:
        log.warning("child_left_processes", pid=child.pid)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        _, still = await asyncio.wait(readers, timeout=_LAST_LINES_S)
    for reader in still:
        reader.cancel()
    await asyncio.wait(readers)


def _outcome(reader: "asyncio.Task[str]") -> str:
    return "" if reader.cancelled() else reader.result()


def _detail(line: str) -> str:
    try:
        return str(msgspec.json.decode(line, type=dict[str, Any]).get("detail", line))
    except msgspec.MsgspecError:
        return line


async def _end(child: asyncio.subprocess.Process, patience_s: float) -> None:
    """Ends the child's whole process group, politely at first."""
    if child.returncode is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), patience_s)
            return
