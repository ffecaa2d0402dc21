"""Real services for the tests that need them: one stack per process, started at the first use.

`stack` is a whole running system. `services` are its Kafka, Postgres, Valkey and S3 with a
database, a bucket and topics that no process of the stack knows, for tests that run parts
themselves.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from xdist.scheduler import LoadScopeScheduling

from fitstream.broker import make_topics
from fitstream.client import Client, open_client
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.settings import Settings, load
from fitstream.stack.run_file import RunFile, read_run_file
from fitstream.store import open_store
from tests.databases import create_database

QUICK = {
    "FITSTREAM_LATE_QUIET_S": "1",
    "FITSTREAM_LATE_MAX_S": "4",
    "FITSTREAM_ROLL_POLL_S": "0.2",
    "FITSTREAM_DISPATCH_POLL_S": "0.2",
    "FITSTREAM_COHORT_QUIET_S": "3",
    "FITSTREAM_COHORT_MAX_S": "20",
    "FITSTREAM_TRAIN_BUDGET_S": "10",
    "FITSTREAM_TRAIN_SHARE_FROM_S": "31",  # tests of candidates as jobs have workers of their own
    "FITSTREAM_ARCHIVE_MAX_AGE_S": "2",
    "FITSTREAM_JOB_RESEND_S": "3",
    "FITSTREAM_JOB_LEASE_S": "6",
    "FITSTREAM_KEYS_POLL_S": "0.5",
    "FITSTREAM_INGEST_RATE_PER_S": "500",
    "FITSTREAM_INGEST_BURST": "5000",
    "FITSTREAM_AUTH_RATE_PER_S": "50",
    "FITSTREAM_AUTH_BURST": "2000",
}
START_TIMEOUT_S = 240  # the first start on a machine fetches the services' jars


@dataclass(frozen=True)
class RunningStack:
    """A whole system: `run` is its run.json, `folder` the directory it lives in."""

    folder: Path
    run: RunFile
    settings: Settings

    @property
    def gateway(self) -> str:
        """Address of the API and the administrators' pages."""
        return self.run.gateway

    @property
    def pages(self) -> str:
        """Address of the customers' pages."""
        return self.run.pages

    @property
    def admin_key(self) -> str:
        """The first administrator's key."""
        assert self.run.admin is not None
        return self.run.admin.api_key

    def pid(self, name: str) -> int:
        """The process id of a part, as it is now."""
        return read_run_file(self.folder).pids[name]


_SCOPES = {
    "tests/unit/": "",  # each file by itself
    "tests/browser/": "pages", "tests/e2e/": "pages",
    "tests/faults/": "faults",
}  # fmt: skip


class ByStack(LoadScopeScheduling):  # type: ignore[misc]
    """Whatever needs the same services runs in one process, on one stack; unit tests beside it.

    Not `--dist loadgroup`: xdist 3.8 marks groups in a way that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        found = (scope for start, scope in _SCOPES.items() if file.startswith(start))
        return next(found, "stack") or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByStack:
    """Deals the tests of `make test` to its two processes."""
    return ByStack(config, log)


def clean_environ(**more: str) -> dict[str, str]:
    """This environment without any setting of ours, and `more`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("FITSTREAM_")} | more


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """A whole system on free ports, with waits of seconds where they are minutes.

    Not below pytest's own folder: another run of pytest takes away the right to pass through it.
    """
    folder = Path(tempfile.mkdtemp(prefix="fitstream-test-"))
    folder.chmod(0o711)
    log = folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "fitstream", "up", "--data", str(folder)],
            env=clean_environ(**QUICK),
            stdout=out,
            stderr=out,
        )
    try:
        yield _wait_until_ready(folder, process, log)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(folder: Path, process: subprocess.Popen[bytes], log: Path) -> RunningStack:
    deadline = time.monotonic() + START_TIMEOUT_S
    while b"ready. Administrators" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the stack did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.1)
    run = read_run_file(folder)
    return RunningStack(folder, run, load(run.settings))


@pytest.fixture(scope="session")
async def services(stack: RunningStack) -> Settings:
    """Settings of the real services with a database, bucket and topics of their own."""
    address = stack.settings.postgres.rpartition("/")[0]
    await create_database(stack.settings, "services")
    settings = msgspec.structs.replace(
        stack.settings,
        postgres=f"{address}/services",
        s3_bucket="services",
        topic="services.samples.v1",
        dead_topic="services.dead.v1",
        topic_partitions=4,
    )
    async with open_repo(settings) as repo, open_store(settings) as store:
        await migrate(repo, datetime.now(UTC).date())
        await store.make_bucket()
    await make_topics(settings)
    return settings


@pytest.fixture(scope="session")
async def repo(services: Settings) -> AsyncIterator[Repo]:
    """The database of `services`; tests share it, so each makes customers of its own."""
    async with open_repo(services) as opened:
        yield opened


@pytest.fixture(scope="session")
async def admin(stack: RunningStack) -> AsyncIterator[Client]:
    """A client of the running system with the first administrator's key."""
    async with open_client(stack.gateway, stack.admin_key) as client:
        yield client


@pytest.fixture(scope="session")
async def http(stack: RunningStack) -> AsyncIterator[ClientSession]:
    """Plain HTTP against the running system, for requests that no client of ours would send."""
    async with ClientSession(stack.gateway) as session:
        yield session
