"""A system whose processes a test starts, arms and ends one by one, on services of its own.

Every process has a supervisor of the stack's own kind, so what dies is started again as in
production. Must not judge: see `invariants`.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM

import msgspec

from fitstream.client import open_api
from fitstream.crash import EXIT_CODE
from fitstream.simulate.fleet import Fleet, Order
from fitstream.simulate.port import ApiGateway
from fitstream.stack.processes import processes
from fitstream.stack.program import Program, answers, listens
from fitstream.stack.run_file import RunFile, read_run_file
from fitstream.stack.supervisor import CRASH_AT, Supervisor

QUICK = {
    "FITSTREAM_LATE_QUIET_S": "0.5",
    "FITSTREAM_LATE_MAX_S": "3",
    "FITSTREAM_ROLL_POLL_S": "0.2",
    "FITSTREAM_ROLL_LEASE_S": "4",
    "FITSTREAM_DISPATCH_POLL_S": "0.2",
    "FITSTREAM_COHORT_QUIET_S": "2",
    "FITSTREAM_COHORT_MAX_S": "10",
    "FITSTREAM_TRAIN_BUDGET_S": "2",
    "FITSTREAM_ARCHIVE_MAX_AGE_S": "1",
    "FITSTREAM_JOB_RESEND_S": "2",
    "FITSTREAM_JOB_LEASE_S": "4",
    "FITSTREAM_KEYS_POLL_S": "0.3",
    "FITSTREAM_INGEST_RATE_PER_S": "1000",
    "FITSTREAM_INGEST_BURST": "10000",
}
RIVALS = ("ledger-2", "roller-2", "dispatcher-2")
VISITOR = "ledger-3"  # joins and leaves its group by name, so that partitions change hands
SERVICES = ("kafka", "postgres", "redis", "s3")
START_TIMEOUT_S = 240  # the first start on a machine fetches the services' jars


def clean_environ(**more: str) -> dict[str, str]:
    """This environment without any setting of ours, and `more`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("FITSTREAM_")} | more


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that Postgres' own user can pass through; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="fitstream-faults-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_up(folder: Path, settings: Mapping[str, str], *options: str) -> Iterator[RunFile]:
    """`fitstream up` on `folder` until the block ends; what its run.json says."""
    log = folder / "up.log"
    launched = ["fitstream.stack.launch", str(os.getpid()), str(int(SIGTERM)), "-"]  # ends with us
    python = [sys.executable, "-m"]
    command = [*python, *launched, *python, "fitstream", "up", "--data", str(folder), *options]
    for option in ("--port", "--pages-port"):  # not the usual ones: other stacks may want them
        command += [option, str(free_port())]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=clean_environ(**settings), stdout=out, stderr=out)
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while not any(words in log.read_bytes() for words in (b"ready. Adm", b"are ready;")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the stack did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield read_run_file(folder)
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class System:
    """Processes by name on the services of `folder`; `told` is what their supervisors said.

    `ledger-2` and the other RIVALS do the same as `ledger` beside it; VISITOR is no static member.
    """

    def __init__(self, folder: Path, run: RunFile, settings: Mapping[str, str]) -> None:
        self.run = run
        self.folder = folder
        self.told: list[str] = []
        self._supervisors: dict[str, Supervisor] = {}
        ports = msgspec.json.decode((folder / "ports.json").read_bytes(), type=dict[str, int])
        environ = clean_environ() | run.settings | settings
        self._programs = {made.name: made for made in processes(folder, ports, environ)}
        for name in (*RIVALS, VISITOR):
            self._programs[name] = _beside(self._programs[name.partition("-")[0]], name, folder)
        self._services = {name: listens(ports[name]) for name in SERVICES}

    @property
    def admin_key(self) -> str:
        """The first administrator's key."""
        assert self.run.admin is not None
        return self.run.admin.api_key

    def pid(self, name: str) -> int:
        """The process id of a part or a service, as it is now."""
        if name in self._supervisors:
            return self._supervisors[name].pids[name]
        return read_run_file(self.folder).pids[name]

    async def is_ready(self, name: str) -> bool:
        """Whether a part or a service works."""
        ready = self._services.get(name) or self._programs[name].ready
        return await ready()

    async def start(self, name: str, crash_at: str = "", settings: Mapping[str, str] = {}) -> None:
        """Starts a process, anew when it runs; armed to die once at `crash_at`."""
        await self.stop(name)
        program = self._programs[name]
        own = dict(settings) | ({CRASH_AT: crash_at} if crash_at else {})
        program = replace(program, environ={**program.environ, **own})
        self._supervisors[name] = Supervisor(self.told.append, lambda: None)
        await self._supervisors[name].start([program])

    async def start_all(self, *names: str) -> None:
        """Starts those that do not run, side by side."""
        await asyncio.gather(*(self.start(n) for n in names if n not in self._supervisors))

    async def stop(self, name: str) -> None:
        """Ends a process; one that does not run is no error."""
        supervisor = self._supervisors.pop(name, None)
        if supervisor is not None:
            await supervisor.stop()

    async def stop_all(self) -> None:
        """Ends every process."""
        await asyncio.gather(*(self.stop(name) for name in tuple(self._supervisors)))

    def crashes(self, name: str) -> int:
        """How often a process has ended at its point."""
        words = f"{name} ended with exit code {EXIT_CODE};"
        return sum(text.startswith(words) for text in self.told)

    async def post(self, order: Order) -> Fleet:
        """A fleet that has posted all it had, whatever happened meanwhile."""
        async with open_api(self.run.gateway, self.admin_key) as api:
            fleet = Fleet(ApiGateway(api, order.seed), order)
            await fleet.run(asyncio.Event())
        return fleet


def _beside(program: Program, name: str, folder: Path) -> Program:
    """The same process once more, with a port, a log and a place in its group of its own."""
    port = free_port()
    member = "" if name == VISITOR else f"{name}-{port}"
    own = {"FITSTREAM_METRICS_PORT": str(port), "FITSTREAM_GROUP_MEMBER": member}
    return replace(
        program,
        name=name,
        log=folder / "logs" / f"{name}.log",
        ready=answers(port),
        environ={**program.environ, **own},
    )


@asynccontextmanager
async def open_system(
    folder: Path, run: RunFile, settings: Mapping[str, str] = {}
) -> AsyncIterator[System]:
    """No process at first; all that were started end with the block."""
    system = System(folder, run, settings)
    try:
        yield system
    finally:
        await system.stop_all()
