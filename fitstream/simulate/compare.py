"""Is the ledger what was acknowledged? Every slot is read back through the API and compared."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fitstream.client import Client
from fitstream.clock import slot_start
from fitstream.merge import Row, unscaled, wins
from fitstream.simulate.acknowledged import Versions, version_of
from fitstream.simulate.enrol import Enrolled, patiently

_PAGE = "500"
_AT_ONCE = 8
_SHOWN_MAX = 20
_POLL_S = 0.3


class Difference(NamedTuple):
    """A slot whose row is not what was acknowledged."""

    customer_id: str
    device_id: str
    slot: int
    what: str

    def __str__(self) -> str:
        return f"{self.customer_id} {self.device_id} {slot_start(self.slot)}: {self.what}"


@dataclass
class Comparison:
    """Slots that agree, and those that do not; the first of these in words."""

    customers: int = 0
    slots: int = 0
    equal: int = 0
    differing: int = 0
    examples: list[Difference] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether the ledger holds exactly what was acknowledged."""
        return self.differing == 0

    def add(self, equal: int, differences: Iterable[Difference]) -> None:
        """Counts the slots of one device."""
        found = list(differences)
        self.equal += equal
        self.differing += len(found)
        self.slots += equal + len(found)
        self.examples += found[: max(0, _SHOWN_MAX - len(self.examples))]


async def settled(admin: Client, timeout_s: float = 120.0) -> bool:
    """Waits until the ledger has read all that is in the topic; whether it did in time."""
    deadline = time.monotonic() + timeout_s
    calm = 0
    while time.monotonic() < deadline:
        kafka = (await patiently(admin.pipeline)).kafka
        is_calm = kafka is not None and kafka.groups.get("ledger", {}).get("lag") == 0
        calm = calm + 1 if is_calm else 0
        if calm * _POLL_S > 2.5:  # the answer may be two seconds old
            return True
        await asyncio.sleep(_POLL_S)
    return False


async def compare_all(
    admin: Client,
    enrolled: Iterable[Enrolled],
    expected: Callable[[Enrolled], Versions],
    tell: Callable[[Comparison], None] = lambda _: None,
) -> Comparison:
    """Compares every device's ledger rows with `expected`."""
    result = Comparison()
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(who: Enrolled) -> None:
        async with room:
            found = await ledger_of(admin, who)
        wanted = expected(who)
        differences = list(differences_of(who, wanted, found))
        result.customers += 1
        result.add(len(wanted.keys() | found.keys()) - len(differences), differences)
        tell(result)

    await asyncio.gather(*(one(who) for who in enrolled))
    return result


async def ledger_of(admin: Client, who: Enrolled) -> Versions:
    """Every row of a device that the ledger holds, tombstones left out."""
    versions: Versions = {}
    after = ""
    while True:
        query = {"device": who.device_id, "limit": _PAGE, "after": after}
        page = await patiently(lambda query=query: admin.samples(who.customer_id, **query))  # type: ignore[misc]
        versions.update(version_of(item) for item in page.items)
        if page.next is None:
            return versions
        after = page.next


def differences_of(
    who: Enrolled, wanted: Mapping[int, Row], found: Mapping[int, Row]
) -> Iterable[Difference]:
    """Slots where the ledger is not `wanted`.

    A device that was here before may have rows of earlier runs: slots not posted now are its own
    affair, and so is a version that wins over ours.
    """
    for slot in sorted(wanted.keys() | found.keys()):
        ours, theirs = wanted.get(slot), found.get(slot)
        if ours == theirs or (ours is not None and ours.deleted and theirs is None):
            continue
        if theirs is None:
            yield Difference(who.customer_id, who.device_id, slot, "is missing")
        elif ours is None or ours.deleted:
            if who.is_new:
                yield Difference(who.customer_id, who.device_id, slot, "was never acknowledged")
        elif who.is_new or not wins(theirs, ours):
            text = f"acknowledged {_words(ours)}, in the ledger {_words(theirs)}"
            yield Difference(who.customer_id, who.device_id, slot, text)


def _words(row: Row) -> str:
    return f"{unscaled(row.values)} (offset {row.tz_offset_min}, rev {row.rev})"
