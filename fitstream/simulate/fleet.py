"""Many devices that post to one gateway, as apps would: they wait as they are told, keep what was
not acknowledged, and send it again.

One loop takes whoever is due off a heap; only posts in flight have a task, and there is a bound on
them. Must not know HTTP: a Gateway carries the posts.
"""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from fitstream.client.data import Receipt
from fitstream.clock import DAY_SLOTS, SLOT_S
from fitstream.errors import Conflict, NotFound, Rejected, TooMany, Unavailable
from fitstream.simulate.device import Device, Post, Verdict, make_post, settle
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.faults import Plan
from fitstream.simulate.schedule import Clock, Pace, RealClock, Schedule

IN_FLIGHT = 64
_BACK_OFF_S = 0.5
_BACK_OFF_MAX_S = 60.0
_LOOK_UP_S = 1.0  # how often the loop looks at `stop`
_CLOSING_S = 10.0  # for posts whose outcome is unknown at the end
_KEY_ATTEMPTS = 8  # a new key may not have reached every gateway process yet
_SURPRISES_KEPT = 20


class Gateway(Protocol):
    """What the fleet posts to. Both calls raise the kinds of `errors`, after one attempt."""

    async def enrol(self, number: int, zone: str) -> Enrolled:
        """The customer and device of that number, made now or found."""
        ...

    async def post(self, key: str, body: bytes) -> Receipt:
        """The receipt of one post."""
        ...


class Order(NamedTuple):
    """What to simulate: `days` of history first, then live until stopped, or for `for_s`."""

    devices: int
    days: int = 0
    live: bool = False
    seed: int = 1
    faults: str = "none"
    for_s: float | None = None
    speed: float = 1.0


@dataclass
class Totals:
    """What happened so far; `sent` counts rows by why they were sent."""

    enrolled: int = 0
    renewed: int = 0
    paused: int = 0
    finished: int = 0
    posts: int = 0
    accepted: int = 0
    refused: int = 0
    slowed: int = 0
    away: int = 0
    lost: int = 0
    surprised: int = 0
    seconds: float = 0.0
    sent: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)


class Fleet:
    """One run of many devices."""

    def __init__(
        self,
        gateway: Gateway,
        order: Order,
        clock: Clock | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._gateway = gateway
        self._order = order
        self._clock = clock or RealClock()
        started = self._clock.now()
        self._pace = Pace(started, order.days, order.speed)
        self._present = int(started // SLOT_S)
        first = self._present - order.days * DAY_SLOTS
        self.devices = [Device(number, first) for number in range(order.devices)]
        self.totals = Totals()
        self._schedule = Schedule()
        self._changed = asyncio.Event()
        self._in_flight = in_flight
        self._turns: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._bug: BaseException | None = None

    def plan(self, device: Device) -> Plan:
        """What the device sends."""
        return Plan(self._order.seed, device.number, self._order.faults)

    async def run(self, stop: asyncio.Event) -> Totals:
        """Posts until everybody has finished, `for_s` is over, or `stop` is set; then tries once
        more what may or may not have arrived."""
        order, started = self._order, self._pace.started
        ends = math.inf if order.for_s is None else started + order.for_s
        for device in self.devices:
            self._schedule.push(started, device.number)
        await self._loop(lambda: stop.is_set() or self._clock.now() >= ends)
        self._is_closing = True
        self._schedule.keep(lambda number: self.devices[number].doubt > 0)
        ends = self._clock.now() + _CLOSING_S
        await self._loop(lambda: self._clock.now() >= ends)
        self.totals.seconds = self._clock.now() - started
        return self.totals

    async def _loop(self, is_over: Callable[[], bool]) -> None:
        """Turns until `is_over` or nobody has another one; none is in flight at its end."""
        try:
            while (self._turns or self._schedule) and not is_over():
                await self._step()
                if self._bug:
                    raise self._bug
        finally:
            if self._turns:
                await asyncio.wait(self._turns)

    async def _step(self) -> None:
        """Starts the turn of whoever is due, or waits for that."""
        now = self._clock.now()
        is_full = len(self._turns) >= self._in_flight
        number = None if is_full else self._schedule.pop_due(now)
        if number is not None:
            task = asyncio.create_task(self._turn(self.devices[number]))
            self._turns.add(task)
            task.add_done_callback(self._ended)
            return
        wait_s = None if is_full else self._schedule.wait_s(now)
        await self._clock.wait(self._changed, min(_LOOK_UP_S, wait_s or _LOOK_UP_S))
        self._changed.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._turns.discard(task)
        self._changed.set()
        if not task.cancelled():
            self._bug = self._bug or task.exception()

    async def _turn(self, device: Device) -> None:
        """One post of one device, and when its next one is."""
        try:
            wait_s = await self._post(device)
            device.failures = 0
        except (Unavailable, TooMany) as error:
            wait_s = self._back_off_s(device, error)
        except (Rejected, NotFound, Conflict) as error:
            wait_s = self._give_up(device, error)
        if wait_s is not None:
            self._schedule.push(self._clock.now() + wait_s, device.number)

    async def _post(self, device: Device) -> float | None:
        plan = self.plan(device)
        who = device.enrolled
        if who is None:
            who = await self._gateway.enrol(device.number, plan.wearer.traits.zone)
            device.enrolled = who
            self.totals.enrolled += 1
            self.totals.renewed += not who.is_new
        wearers_now = self._pace.wearers_now(self._clock.now())
        until = self._until(device, wearers_now, plan.skew_s)
        sent_at = datetime.fromtimestamp(wearers_now + plan.skew_s, UTC)
        post = make_post(device, who.device_id, plan, until, sent_at)
        self.totals.posts += 1
        self.totals.sent.update(sending.kind for sending in post.sendings)
        before = device.cursor
        receipt, rejected = await self._carry(device, who.key, post)
        self._settle(device, post, rejected)
        self._obey(device, receipt, int(wearers_now // SLOT_S))
        return self._next_in_s(device, receipt, until, before)

    def _until(self, device: Device, wearers_now: float, skew_s: float) -> int:
        """The slot before which the device posts now: the present for history, else as its own
        clock says."""
        if self._is_closing:
            return device.doubt
        is_history = self._order.speed == 1 and device.cursor < self._present
        has_caught_up = not self._order.live and wearers_now >= self._pace.started
        if is_history or has_caught_up:
            return self._present
        until = int((wearers_now + skew_s) // SLOT_S)
        return until if self._order.live else min(until, self._present)

    async def _carry(
        self, device: Device, key: str, post: Post
    ) -> tuple[Receipt | None, dict[int, Verdict]]:
        """The receipt, None when every row was refused, and the verdicts on refused rows."""
        try:
            receipt = await self._gateway.post(key, post.body)
        except Unavailable:
            device.doubt = max(device.doubt, post.end)
            raise
        except Rejected as error:
            rows = error.extra.get("rejected")
            if error.code != "nothing_acceptable" or not isinstance(rows, list):
                raise
            verdicts = {row["index"]: Verdict(row["code"], row["retry"]) for row in rows}
            return None, verdicts
        return receipt, {row.index: Verdict(row.code, row.retry) for row in receipt.rejected}

    def _settle(self, device: Device, post: Post, rejected: dict[int, Verdict]) -> None:
        settled = settle(device, post, rejected)
        totals = self.totals
        totals.accepted += settled.accepted
        totals.refused += settled.refused
        totals.surprised += len(settled.surprises)
        totals.surprises += settled.surprises[: _SURPRISES_KEPT - len(totals.surprises)]

    def _obey(self, device: Device, receipt: Receipt | None, present: int) -> None:
        """The settings of a receipt: a pause begins and ends with the slot that runs; the interval
        is in the time of the next post."""
        told = None if receipt is None else receipt.settings
        if told is None or told.paused == device.is_paused:
            return
        device.told(told.paused, present)
        self.totals.paused += 1 if told.paused else -1

    def _next_in_s(
        self, device: Device, receipt: Receipt | None, until: int, before: int
    ) -> float | None:
        """Seconds to the next post; None when the device has finished."""
        if self._is_closing and not device.doubt:
            return None
        if before < device.cursor < until <= self._present:
            return 0.0  # history goes up piece by piece
        if not self._order.live and device.cursor >= self._present:
            self.totals.finished += 1
            return None
        asked_s = SLOT_S * 1.0
        if receipt is not None:
            asked_s = (receipt.next_post_at - receipt.server_time).total_seconds()
        return self._pace.wait_s(max(0.0, asked_s), self._clock.now())

    def _back_off_s(self, device: Device, error: Unavailable | TooMany) -> float:
        """What the gateway asked for, at least a growing back-off, with jitter on top."""
        if isinstance(error, TooMany):
            self.totals.slowed += 1
        else:
            self.totals.away += 1
        back_off_s = min(_BACK_OFF_S * 2.0 ** min(device.failures, 10), _BACK_OFF_MAX_S)
        device.failures += 1
        return max(error.retry_after_s, back_off_s) * random.uniform(1.0, 1.5)

    def _give_up(self, device: Device, error: Rejected | NotFound | Conflict) -> float | None:
        """Seconds to another try of a key that may be too new; None when the device is lost."""
        is_early = isinstance(error, Rejected) and error.status == 401
        if is_early and device.failures < _KEY_ATTEMPTS:
            device.failures += 1
            return 1.0
        self.totals.lost += 1
        if len(self.totals.surprises) < _SURPRISES_KEPT:
            self.totals.surprises.append(f"device {device.number} gave up: {error}")
        return None
