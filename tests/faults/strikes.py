"""Strikes at random: who is killed, frozen or otherwise disturbed, and how soon it works again.

The plan follows from its seed alone. Several victims suffer at once; one of them is struck again
only when it works again and has had a moment to do some of its work.
"""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Literal, NamedTuple

import msgspec
import psutil

from fitstream.crash import POINTS
from tests.faults.system import RIVALS, VISITOR, System

How = Literal["kill", "crash", "freeze", "visit", "flush", "fence"]
Disturb = Callable[[str], Awaitable[None]]
OURS = ("gateway", "pages", "ledger", "archive", "roller", "dispatcher", "worker", *RIVALS)
LIGHT, JVM = ("redis", "postgres"), ("kafka", "s3")
LASTING = ("kill", "crash", "freeze")  # after these a victim has to recover
LIGHT_SHARE = 0.10
CRASH_SHARE = 0.15  # of the kills of our processes: at a named point instead of anywhere
FREEZES = 0.3  # for each kill
DISTURBANCES: dict[How, float] = {"flush": 0.10, "visit": 0.10, "fence": 0.05}  # for each kill
AT_ONCE = 4
REST_S, BACK_S, PASSES_S = 3.0, 120.0, 12.0
_POLL_S = 0.1


class Strike(NamedTuple):
    """What is done to whom, `pause_s` before the next one; `point` names where a crash happens."""

    victim: str
    how: How
    seconds: float = 0.0
    point: str = ""
    pause_s: float = 0.0

    @property
    def is_kill(self) -> bool:
        """Whether a process dies of it without a word."""
        return self.how in ("kill", "crash")


class Struck(msgspec.Struct, frozen=True):
    """A strike that was carried out, and after how many seconds its victim worked again."""

    victim: str
    how: str
    seconds: float
    back_s: float
    point: str = ""


def planned(
    kills: int, seed: int, jvm_share: float = 0.04, pause_s: float = 1.6
) -> Iterator[Strike]:
    """So many kills, with freezes and disturbances between; the same ones for the same seed."""
    rng = random.Random(seed)
    victims = _rounds(rng, OURS)
    for _ in range(kills):
        strike = _kill(rng, victims, jvm_share)
        yield strike._replace(pause_s=rng.expovariate(1 / pause_s))
        if rng.random() < FREEZES:
            yield _freeze(rng)._replace(pause_s=rng.expovariate(1 / pause_s))
        for how, share in DISTURBANCES.items():
            if rng.random() < share:
                yield Strike(_DISTURBED[how], how)


_DISTURBED: dict[How, str] = {"flush": "worker", "visit": VISITOR, "fence": "gateway"}


def _rounds(rng: random.Random, names: tuple[str, ...]) -> Iterator[str]:
    """Everybody once, then again in another order."""
    while True:
        yield from rng.sample(names, len(names))


def _kill(rng: random.Random, victims: Iterator[str], jvm_share: float) -> Strike:
    chance = rng.random()
    if chance < jvm_share:
        return Strike(rng.choice(JVM), "kill")
    if chance < jvm_share + LIGHT_SHARE:
        return Strike(rng.choice(LIGHT), "kill")
    victim = next(victims)
    points = [point for point in POINTS if point.startswith(victim.partition("-")[0] + "_")]
    if points and rng.random() < CRASH_SHARE:
        return Strike(victim, "crash", point=f"{rng.choice(points)}:{rng.randint(1, 3)}")
    return Strike(victim, "kill")


def _freeze(rng: random.Random) -> Strike:
    """Mostly longer than a lease of the tests, so that somebody else takes over."""
    victim = rng.choice((*OURS, *LIGHT, *JVM, "roller", "roller-2", "s3"))
    return Strike(victim, "freeze", rng.uniform(2.0, 9.0))


class Striker:
    """Carries out strikes on one system, several at a time.

    `done` is what was done so far, `failed` tells who did not come back.
    """

    def __init__(self, system: System, disturb: Disturb) -> None:
        self.done: list[Struck] = []
        self.failed: list[str] = []
        self._system = system
        self._disturb = disturb
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, strikes: Iterator[Strike]) -> None:
        """All of them."""
        async with asyncio.TaskGroup() as group:
            for strike in strikes:
                await self._room.acquire()
                group.create_task(self._one(strike))
                await asyncio.sleep(strike.pause_s)

    async def _one(self, strike: Strike) -> None:
        try:
            async with self._turns[strike.victim]:
                back_s = await self._do(strike)
                self.done.append(_struck(strike, back_s))
                await asyncio.sleep(REST_S if strike.how in LASTING else 0.0)
        except TimeoutError as error:
            self.failed.append(f"{strike}: {error}")
        finally:
            self._room.release()

    async def _do(self, strike: Strike) -> float:
        """Seconds from the end of a strike until its victim works again."""
        name = strike.victim
        if strike.how not in LASTING:
            await self._disturb(strike.how)
            return 0.0
        if strike.how == "crash":
            await self._crash(name, strike.point)
            return await self._back(name, 0)
        pid = await self._working(name)
        if strike.how == "freeze":
            await freeze(pid, strike.seconds)
            return await self._back(name, 0)
        os.kill(pid, SIGKILL)
        return await self._back(name, pid)

    async def _working(self, name: str) -> int:
        """The process id once it is ready: one that still starts would be struck for nothing."""
        await self._back(name, 0)
        return self._system.pid(name)

    async def _crash(self, name: str, point: str) -> None:
        """Armed and started anew; killed there and then when it does not pass its point."""
        before = self._system.crashes(name)
        await self._system.start(name, point)
        if name == "worker":
            await self._disturb("work")
        ends = time.monotonic() + PASSES_S
        while self._system.crashes(name) == before:
            if time.monotonic() > ends:
                os.kill(self._system.pid(name), SIGKILL)
                return
            await asyncio.sleep(_POLL_S)

    async def _back(self, name: str, before: int) -> float:
        """Waits until a victim works as another process than `before`."""
        struck = time.monotonic()
        while time.monotonic() < struck + BACK_S:
            if self._system.pid(name) != before and await self._system.is_ready(name):
                return time.monotonic() - struck
            await asyncio.sleep(_POLL_S)
        raise TimeoutError(f"{name} does not work after {BACK_S:.0f} s")


def _struck(strike: Strike, back_s: float) -> Struck:
    times = (round(strike.seconds, 2), round(back_s, 2))
    return Struck(strike.victim, strike.how, *times, strike.point)


async def freeze(pid: int, seconds: float) -> None:
    """Stops a process and its children for a while."""
    family = _family(pid)
    for number, rest_s in ((SIGSTOP, seconds), (SIGCONT, 0.0)):
        for each in family:
            try:
                os.kill(each, number)
            except ProcessLookupError:
                continue
        await asyncio.sleep(rest_s)


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []
