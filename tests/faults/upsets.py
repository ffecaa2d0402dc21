"""What upsets a system beside deaths: a visitor in a group, a forgetful Redis, a fenced producer.

Whoever is struck just now is not upset as well: such an upset is left out.
"""

import asyncio
from contextlib import suppress

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from fitstream.errors import FitstreamError
from tests.faults.fencing import fence
from tests.faults.invariants import Observed
from tests.faults.seen import Seen
from tests.faults.strikes import freeze
from tests.faults.system import VISITOR, System

VISIT_S, QUEUE_S = 4.0, 3.0
_AWAY = (FitstreamError, KafkaError, RedisError, OSError)


class Upsets:
    """Carries them out on one system."""

    def __init__(self, system: System, stores: Observed, seen: Seen) -> None:
        self._system = system
        self._stores = stores
        self._seen = seen

    async def disturb(self, how: str) -> None:
        """`visit`, `flush` or `fence`."""
        with suppress(*_AWAY):
            await {"visit": self._visit, "flush": self._flush, "fence": self._fence}[how]()

    async def _visit(self) -> None:
        """Another ledger joins the group and leaves it: partitions change hands twice."""
        try:
            await self._system.start(VISITOR)
            await asyncio.sleep(VISIT_S)
        finally:
            await self._system.stop(VISITOR)

    async def _flush(self) -> None:
        """Redis forgets, after the worker was frozen for a while, so that jobs wait there."""
        frozen = asyncio.create_task(freeze(self._system.pid("worker"), QUEUE_S + 1))
        await asyncio.sleep(QUEUE_S)
        try:
            await self._seen.flush()
        finally:
            await frozen

    async def _fence(self) -> None:
        await fence(self._stores.settings, self._system.folder)
