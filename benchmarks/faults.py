"""`python -m benchmarks.faults --kills N --seed S`: random deaths and freezes while fleets post.

After every series the ledger is held against the pure merge of what was acknowledged, and every
other invariant is checked. Exits 1 when anything was lost, doubled or wrong.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psutil
from redis.asyncio import Redis

from benchmarks.report import Bar, Report, write
from benchmarks.stack import free_port
from fitstream.client import open_api
from fitstream.settings import load
from fitstream.simulate.fleet import Fleet, Order
from fitstream.simulate.port import ApiGateway
from fitstream.stack.processes import processes
from fitstream.stack.program import Program, Ready, answers, listens
from fitstream.stack.run_file import RunFile, read_run_file
from fitstream.stack.supervisor import Supervisor
from tests.faults.invariants import Observed, ledger_of, observed
from tests.faults.system import QUICK, clean_environ, running_up, temporary_folder

SERIES = 50
OURS = ("gateway", "pages", "ledger", "archive", "roller", "dispatcher", "worker")
SECOND = ("ledger", "roller")  # a rival of each, so that groups rebalance and leases are fought for
LIGHT, JVM = ("redis", "postgres"), ("kafka", "s3")
LIGHT_SHARE, FREEZE_SHARE = 0.12, 0.35
SETTINGS = QUICK | {"FITSTREAM_COHORT_QUIET_S": "10", "FITSTREAM_COHORT_MAX_S": "45"}
CALM_S = 21.0  # who dies again within 20 s is taken for one that keeps crashing
DEVICES, DAYS, SPEED = 4, 30, 8000.0
QUIET_S, BACK_S = 240.0, 120.0


class Fault(NamedTuple):
    """What is done to whom; a freeze lasts `seconds`, a kill is 0 long."""

    victim: str
    seconds: float


@dataclass
class Found:
    """What a run has seen so far."""

    faults: list[tuple[Fault, float]] = field(default_factory=list)
    fleets: list[Fleet] = field(default_factory=list)
    slots: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    flushed: int = 0


def planned(kills: int, seed: int, jvm_share: float) -> Iterator[Fault]:
    """The same faults for the same seed; our processes come in rounds, each in another order."""
    rng = random.Random(seed)
    ours: list[str] = []
    for _ in range(kills):
        chance = rng.random()
        if chance < jvm_share:
            victim = rng.choice(JVM)
        elif chance < jvm_share + LIGHT_SHARE:
            victim = rng.choice(LIGHT)
        else:
            if not ours:
                ours = [*OURS, *(f"{name}-2" for name in SECOND)]
                rng.shuffle(ours)
            victim = ours.pop()
        is_freeze = rng.random() < FREEZE_SHARE
        yield Fault(victim, rng.uniform(1.0, 7.0) if is_freeze else 0.0)


class Stage:
    """A whole running stack with a second ledger and roller beside it."""

    def __init__(self, folder: Path, run: RunFile) -> None:
        self.run = run
        self._folder = folder
        self._ports = msgspec.json.decode((folder / "ports.json").read_bytes(), type=dict[str, int])
        self._rivals: dict[str, Supervisor] = {}
        self._since: dict[str, float] = {}

    async def start_rivals(self) -> None:
        """The second ledger and roller, supervised here."""
        for name in SECOND:
            port = free_port()
            self._ports[f"{name}-2_metrics"] = port
            self._rivals[f"{name}-2"] = Supervisor(lambda _: None, lambda: None)
            await self._rivals[f"{name}-2"].start([self._rival(name, port)])

    async def stop_rivals(self) -> None:
        """Ends them again."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self._rivals.values()))

    def _rival(self, name: str, port: int) -> Program:
        environ = clean_environ() | self.run.settings
        known = {each.name: each for each in processes(self._folder, self._ports, environ)}
        own = {"FITSTREAM_METRICS_PORT": str(port), "FITSTREAM_GROUP_MEMBER": f"rival-{port}"}
        return replace(
            known[name],
            name=f"{name}-2",
            log=self._folder / "logs" / f"{name}-2.log",
            ready=answers(port),
            environ={**environ, **own},
        )

    def pid(self, name: str) -> int:
        """The process id of a part, as it is now."""
        if name in self._rivals:
            return self._rivals[name].pids[name]
        return read_run_file(self._folder).pids[name]

    def ready(self, name: str) -> Ready:
        """Whether a part works."""
        if name in (*LIGHT, *JVM):
            return listens(self._ports[name])
        return answers(self._ports[name if name in ("gateway", "pages") else f"{name}_metrics"])

    async def strike(self, fault: Fault) -> float:
        """Does it, and waits until the victim works again; the seconds from its end on."""
        name = fault.victim
        await asyncio.sleep(self._since.get(name, 0.0) + CALM_S - time.monotonic())
        before = self.pid(name)
        if fault.seconds:
            await _freeze(before, fault.seconds)
        else:
            os.kill(before, SIGKILL)
        struck = time.monotonic()
        while time.monotonic() < struck + BACK_S:
            is_other = fault.seconds > 0 or self.pid(name) != before
            if is_other and await self.ready(name)():
                self._since[name] = time.monotonic()
                return time.monotonic() - struck
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{name} does not work {BACK_S:.0f} s after {fault}")


async def _freeze(pid: int, seconds: float) -> None:
    """Stops a process and its children for a while."""
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    for number, rest_s in ((SIGSTOP, seconds), (SIGCONT, 0.0)):
        for each in family:
            try:
                os.kill(each, number)
            except ProcessLookupError:
                continue
        await asyncio.sleep(rest_s)


@asynccontextmanager
async def posting(stage: Stage, seed: int, found: Found) -> AsyncIterator[None]:
    """Fleets post, one after the other, as long as the block runs."""
    stop = asyncio.Event()
    assert stage.run.admin is not None
    async with open_api(stage.run.gateway, stage.run.admin.api_key) as api:

        async def post() -> None:
            number = 0
            while not stop.is_set():
                order = Order(DEVICES, DAYS, seed=seed + number, faults="many", speed=SPEED)
                found.fleets.append(Fleet(ApiGateway(api, order.seed), order))
                await found.fleets[-1].run(stop)
                number += 1

        task = asyncio.create_task(post())
        try:
            yield
        finally:
            stop.set()
            await task


async def flush_redis(stage: Stage, stores: Observed, found: Found) -> None:
    """Redis forgets everything; jobs that it had been told of must be told again."""
    async with stores.repo.connection() as db:
        found.flushed += await db.fetchval(
            "SELECT count(*) FROM job WHERE state = 'queued' AND sent_at IS NOT NULL"
        )
    async with Redis.from_url(stage.run.redis) as redis:
        await redis.flushall()


async def check(stage: Stage, stores: Observed, found: Found, folder: Path) -> None:
    """Waits for rest, then holds everything against what was acknowledged."""
    deadline = time.monotonic() + QUIET_S
    names = ("ledger", "archive", "roller", "worker")
    while True:
        waits = await stores.waits(names)
        if not waits or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    found.wrong += [f"not at rest: {what}" for what in waits]
    found.slots, found.lost, found.doubled = 0, [], []
    async with stores.repo.connection() as db:
        for fleet in found.fleets:
            ledger = await ledger_of(db, fleet)
            found.slots += ledger.slots
            found.lost += ledger.lost
            found.doubled += ledger.doubled
    found.wrong += await stores.wrong(())
    found.wrong += [text for fleet in found.fleets for text in fleet.totals.surprises]
    found.wrong += await stores.archive_wrong()
    command = [sys.executable, "-m", "fitstream", "verify", "--data", str(folder)]
    done = await asyncio.to_thread(
        subprocess.run, command, env=clean_environ(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        found.wrong.append(f"fitstream verify: {done.stdout[-1500:]} {done.stderr[-500:]}")


async def events(stores: Observed, found: Found, logs: Path) -> dict[str, int]:
    """How often each interesting thing was seen."""
    async with stores.repo.connection() as db:

        async def number(query: str) -> int:
            return int(await db.fetchval(query) or 0)

        merged = "SELECT sum(samples - inserted - updated) FROM ingest_progress"
        return {
            "duplicates merged": await number(merged),
            "conflict rows": await number("SELECT count(*) FROM sample_conflict"),
            "rebalances": _said(logs, "rebalanc"),
            "producers rebuilt": _said(logs, "producer_rebuilt"),
            "same object (412)": _said(logs, "object_same"),
            "lost compare-and-set": _said(logs, "lease_lost") + _said(logs, "chunk_dropped"),
            "late re-rolls": await number("SELECT count(*) FROM week_version WHERE version > 1"),
            "stolen leases": await number("SELECT count(*) FROM job WHERE attempts > 1"),
            "jobs re-sent after a flush": found.flushed,
        }


def _said(logs: Path, words: str) -> int:
    ours = [path for path in logs.glob("*.log*") if path.name.split(".")[0] not in (*LIGHT, *JVM)]
    return sum(
        words in line for path in ours for line in path.read_text(errors="replace").splitlines()
    )


async def _run(
    folder: Path, kills: int, seed: int, jvm_share: float
) -> tuple[Found, dict[str, int]]:
    found = Found()
    faults = list(planned(kills, seed, jvm_share))
    with running_up(folder, SETTINGS) as run:
        stage = Stage(folder, run)
        await stage.start_rivals()
        try:
            async with observed(load(run.settings)) as stores:
                for first in range(0, kills, SERIES):
                    await _series(
                        stage, stores, found, faults[first : first + SERIES], seed + first
                    )
                    await check(stage, stores, found, folder)
                    print(f"  {len(found.faults)} faults, {found.slots:,} slots acknowledged,"
                          f" {len(found.lost)} lost, {len(found.doubled)} doubled,"
                          f" {len(found.wrong)} wrong", flush=True)  # fmt: skip
                return found, await events(stores, found, folder / "logs")
        finally:
            await stage.stop_rivals()


async def _series(
    stage: Stage, stores: Observed, found: Found, faults: list[Fault], seed: int
) -> None:
    async with posting(stage, seed * 1000, found):
        for number, fault in enumerate(faults):
            found.faults.append((fault, await stage.strike(fault)))
            if number % 10 == 9:
                await flush_redis(stage, stores, found)
            await asyncio.sleep(0.2)


def report(found: Found, seen: dict[str, int], seed: int) -> Report:
    """The table of a run."""
    rows: list[dict[str, Any]] = []
    for name in sorted({fault.victim for fault, _ in found.faults}):
        mine = [(fault, s) for fault, s in found.faults if fault.victim == name]
        times = [seconds for fault, seconds in mine if not fault.seconds] or [0.0]
        how = Counter("freeze" if fault.seconds else "kill" for fault, _ in mine)
        p50, p99 = np.percentile(times, [50, 99])
        rows.append(
            {"victim": name, "kill -9": how["kill"], "freezes": how["freeze"],
             "back after a kill, p50 s": round(float(p50), 2), "p99 s": round(float(p99), 2)}
        )  # fmt: skip
    never = [name for name, times in seen.items() if not times]
    bad = len(found.lost) + len(found.doubled) + len(found.wrong)
    measured = f"{len(found.lost)} lost, {len(found.doubled)} doubled, {len(found.wrong)} wrong"
    name = f"{len(found.faults)} kills and freezes, {found.slots:,} acknowledged slots"
    words = ", ".join(f"{name} {times:,}" for name, times in seen.items())
    return Report(
        rows,
        [
            Bar(name, measured, "0 lost, 0 doubled", bad == 0),
            Bar("what such a run must see", words, f"each; never: {', '.join(never) or '–'}"),
        ],
        {"seed": seed, "faults": len(found.faults), "slots": found.slots},
    )


def main() -> int:
    """1 when anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jvm-share", type=float, default=0.05)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with temporary_folder() as folder:
        found, seen = asyncio.run(_run(folder, asked.kills, asked.seed, asked.jvm_share))
    write("faults", report(found, seen, asked.seed))
    for text in [*found.lost, *found.doubled, *found.wrong][:40]:
        print(text)
    return 1 if found.lost or found.doubled or found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
