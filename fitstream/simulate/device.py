"""One virtual device: the little that must be kept, and what a post and its answer do to it.

About half a kilobyte each, and a byte per slot that was ever acknowledged: the rows themselves
follow from the plan. Must not know how a post travels.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from fitstream.clock import DAY_SLOTS, slot_start
from fitstream.merge import Row, merged
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.faults import Plan, Sending, Variant

POST_SLOTS = 4 * DAY_SLOTS  # a backlog is posted in pieces of at most so many slots


class Pause(NamedTuple):
    """Slots of [start, end) that were not measured, None while it goes on."""

    start: int
    end: int | None = None


class Device:
    """State of one device.

    Everything due before `cursor` has its verdict; `doubt` is the end of a post whose outcome is
    unknown, 0 when there is none.
    """

    __slots__ = (
        "_acked",
        "cursor",
        "doubt",
        "enrolled",
        "failures",
        "first",
        "number",
        "pauses",
    )

    def __init__(self, number: int, first: int) -> None:
        self.number = number
        self.first = first
        self.cursor = first
        self.doubt = 0
        self.failures = 0
        self.enrolled: Enrolled | None = None
        self.pauses: tuple[Pause, ...] = ()
        self._acked = bytearray()

    @property
    def is_paused(self) -> bool:
        """Whether it was told to measure nothing."""
        return bool(self.pauses) and self.pauses[-1].end is None

    def told(self, paused: bool, slot: int) -> None:
        """What a receipt says: from `slot` on the device measures nothing, or again."""
        if paused and not self.is_paused:
            self.pauses = (*self.pauses, Pause(slot))
        elif self.is_paused and not paused:
            self.pauses = (*self.pauses[:-1], Pause(self.pauses[-1].start, slot))

    def measured(self, slot: int) -> bool:
        """Whether it measured at all then."""
        return not any(p.start <= slot and (p.end is None or slot < p.end) for p in self.pauses)

    def due(self, plan: Plan, end: int) -> list[Sending]:
        """What it has to send of the slots up to `end`; of slots of a pause it has nothing."""
        found = plan.due(self.cursor, end, self.first)
        return [one for one in found if self.measured(one.slot)] if self.pauses else found

    def remember(self, slot: int, variant: Variant) -> None:
        """A version of a slot was acknowledged."""
        index = slot - self.first
        if index >= len(self._acked):
            self._acked.extend(bytes(index + 1 - len(self._acked)))
        self._acked[index] |= 1 << variant

    def acknowledged(self) -> Iterator[tuple[int, list[Variant]]]:
        """Slots with the versions of them that were acknowledged."""
        for index, bits in enumerate(self._acked):
            if bits:
                yield self.first + index, [v for v in Variant if bits >> v & 1]

    def versions(self, plan: Plan) -> dict[int, Row]:
        """What was acknowledged of each slot, merged by the one rule."""
        return {
            slot: merged(plan.row(slot, variant) for variant in variants)
            for slot, variants in self.acknowledged()
        }

    def doubtful(self, plan: Plan) -> set[int]:
        """Slots of which a version may have arrived that nobody acknowledged."""
        return {sending.slot for sending in self.due(plan, self.doubt)}


class Post(NamedTuple):
    """One post: its body, and what the body holds, row by row."""

    body: bytes
    sendings: list[Sending]
    end: int


class Verdict(NamedTuple):
    """What an answer says of one refused row."""

    code: str
    retry: bool


class Settled(NamedTuple):
    """What an answer meant: accepted rows, refused ones as expected, and what must not happen."""

    accepted: int
    refused: int
    surprises: list[str]


def make_post(device: Device, device_id: str, plan: Plan, until: int, sent_at: datetime) -> Post:
    """Everything due up to slot `until`, or the first piece of it."""
    end = max(device.cursor, min(until, device.cursor + POST_SLOTS))
    sendings = device.due(plan, end)
    envelope: dict[str, Any] = {
        "device_id": device_id,
        "sent_at": sent_at,
        "complete_through": slot_start(end),
        "app_version": "fitstream-simulate",
        "samples": [plan.written(sending) for sending in sendings],
    }
    return Post(msgspec.json.encode(envelope), sendings, end)


def settle(device: Device, post: Post, rejected: Mapping[int, Verdict]) -> Settled:
    """Remembers what was acknowledged; rows to be sent again later stay due."""
    cursor, accepted, refused = post.end, 0, 0
    surprises: list[str] = []
    for index, sending in enumerate(post.sendings):
        verdict = rejected.get(index)
        if verdict is not None and verdict.retry:
            cursor = min(cursor, sending.at)
        elif verdict is None and sending.variant is not None:
            device.remember(sending.slot, sending.variant)
            accepted += 1
        elif verdict is not None and verdict.code == sending.kind:
            refused += 1
        else:
            said = "accepted" if verdict is None else f"refused: {verdict.code}"
            surprises.append(f"device {device.number}, slot {sending.slot}, {sending.kind}: {said}")
    device.cursor = cursor
    if cursor >= device.doubt:
        device.doubt = 0
    return Settled(accepted, refused, surprises)
