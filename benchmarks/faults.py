"""`python -m benchmarks.faults --kills N --seed S`: random deaths and freezes while fleets post.

After every series of 50 kills the ledger is held against the pure merge of what was
acknowledged, every other invariant is checked, and `fitstream verify` runs. Each series is a line
that is added to results/faults_series.jsonl as soon as it ends; `--table` makes results/faults.md
of all lines there.

Exits with 1 when anything was lost, doubled or wrong, with 3 when the run never saw an event that
it must see.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.faults_table import write_table
from benchmarks.report import FOLDER
from fitstream.settings import load
from fitstream.simulate.fleet import Fleet, Order
from tests.faults.invariants import Observed, observed
from tests.faults.posting import WORK, checked, posting
from tests.faults.seen import Seen, never_seen
from tests.faults.strikes import BACK_S, OURS, Strike, Striker, Struck, planned
from tests.faults.system import (
    QUICK,
    System,
    open_system,
    running_up,
    temporary_folder,
)
from tests.faults.upsets import Upsets

SERIES = 50
LINES = FOLDER / "faults_series.jsonl"
# Other times than in tests: so many deaths leave a job few quiet moments, and a machine has to bear
# it for an hour. Training is asked for, because it costs more than all else together.
SETTINGS = QUICK | {
    "FITSTREAM_JOB_ATTEMPTS_MAX": "1000",
    "FITSTREAM_ROLL_POLL_S": "0.5",
    "FITSTREAM_DISPATCH_POLL_S": "0.5",
}
NO_TRAINING = {"FITSTREAM_COHORT_QUIET_S": "86400", "FITSTREAM_COHORT_MAX_S": "86400"}
TRAINING = {"FITSTREAM_COHORT_QUIET_S": "10", "FITSTREAM_COHORT_MAX_S": "120"}
DEVICES, DAYS, SPEED = 4, 30, 8000.0
BAD, UNSEEN = 1, 3


class Series(msgspec.Struct, frozen=True):
    """What one series has found; `events` are those of this series alone."""

    seed: int
    number: int
    commit: str
    ended: datetime
    seconds: float
    kills: int
    strikes: list[Struck]
    acknowledged: int
    lost: int
    doubled: int
    wrong: list[str]
    events: dict[str, int]


class Stage:
    """One running system with its rivals, and what was posted to it and seen of it so far."""

    def __init__(self, system: System, stores: Observed, work: Iterable[str]) -> None:
        self.system = system
        self._work = work
        self.stores = stores
        self.fleets: list[Fleet] = []
        self.seen = Seen(stores, system.folder / "logs")
        self._upsets = Upsets(system, stores, self.seen)
        self.slots = 0
        self.events: dict[str, int] = {}

    async def series(self, number: int, strikes: Iterator[Strike], seed: int) -> Series:
        """One series from its first strike to its verdict."""
        started = time.monotonic()
        striker = Striker(self.system, self._upsets.disturb)
        order = Order(DEVICES, DAYS, seed=(seed * 1000 + number) * 100, faults="many", speed=SPEED)
        async with posting(self.system, order, self.fleets):
            await striker.run(strikes)
        found = await checked(self.system, self.stores, self.fleets, self._work)
        events = await self.seen.counts()
        series = Series(
            seed,
            number,
            _commit(),
            datetime.now(UTC),
            round(time.monotonic() - started, 1),
            sum(struck.how in ("kill", "crash") for struck in striker.done),
            striker.done,
            found.slots - self.slots,
            len(found.lost),
            len(found.doubled),
            [*striker.failed, *found.all][:20],
            {name: times - self.events.get(name, 0) for name, times in events.items()},
        )
        self.slots, self.events = found.slots, events
        return series


async def _run(folder: Path, asked: argparse.Namespace) -> list[Series]:
    done: list[Series] = []
    kills, seed = asked.kills, asked.seed
    settings = SETTINGS | (TRAINING if asked.training else NO_TRAINING)
    with running_up(folder, settings, "--services-only") as run:
        async with (
            open_system(folder, run) as system,
            observed(load(run.settings)) as stores,
        ):
            await system.start_all(*OURS)
            stage = Stage(system, stores, [*WORK, *(["training"] if asked.training else [])])
            for number, first in enumerate(range(0, kills, SERIES)):
                strikes = planned(min(SERIES, kills - first), seed * 1000 + number, asked.jvm_share)
                done.append(await stage.series(number, strikes, seed))
                _append(done[-1])
    return done


def _append(series: Series) -> None:
    """Adds the line at once, and says what it says in short."""
    with LINES.open("ab") as file:
        file.write(msgspec.json.encode(series) + b"\n")
    print(
        f"  series {series.number} of seed {series.seed}: {series.kills} kills in"
        f" {series.seconds:.0f} s, {series.acknowledged:,} slots acknowledged, {series.lost} lost,"
        f" {series.doubled} doubled, {len(series.wrong)} wrong; {series.events}",
        flush=True,
    )


def read_lines() -> list[Series]:
    """Every series that was run and kept."""
    if not LINES.exists():
        return []
    return [msgspec.json.decode(line, type=Series) for line in LINES.read_bytes().splitlines()]


def verdict(done: list[Series]) -> int:
    """The exit code of these series, with what speaks against them on the way."""
    wrong = [text for series in done for text in series.wrong]
    for text in wrong[:40]:
        print(text)
    if wrong or not done:
        return BAD
    events: dict[str, int] = {}
    for series in done:
        for name, times in series.events.items():
            events[name] = events.get(name, 0) + times
    unseen = never_seen(events)
    if unseen:
        print(f"never seen, so nothing is shown about it: {', '.join(unseen)}")
    return UNSEEN if unseen else 0


def _commit() -> str:
    """The commit that runs, marked when anything but results differs from it."""
    commit, changed = (
        subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()
        for words in (
            ("describe", "--always"),
            ("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"),
        )
    )
    return f"{commit}-dirty" if changed else commit


def main() -> int:
    """0, 1 (lost, doubled or wrong) or 3 (an event was never seen)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--kills", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jvm-share", type=float, default=0.04)
    parser.add_argument("--training", action="store_true", help="models are trained meanwhile")
    parser.add_argument("--table", action="store_true", help="write the table of all series so far")
    asked = parser.parse_args()
    if asked.table:
        write_table(read_lines())
        return verdict(read_lines())
    print(f"seed {asked.seed}, {asked.kills} kills; each victim has {BACK_S:.0f} s", flush=True)
    with temporary_folder() as folder:
        done = asyncio.run(_run(folder, asked))
    return verdict(done)


if __name__ == "__main__":
    sys.exit(main())
