"""What upsets a system beside deaths: a visitor in a group, a forgetful Redis, a fenced producer.

Whoever is struck just now is not upset as well: such an upset is left out.
"""

import asyncio
from contextlib import suppress
from uuid import uuid4

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from fitstream.client import open_client
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
        """`visit`, `flush`, `fence` or `work`."""
        upsets = {
            "visit": self._visit,
            "flush": self._flush,
            "fence": self._fence,
            "work": self._work,
        }
        with suppress(*_AWAY):
            await upsets[how]()

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
        try:
            await self._work()
            await asyncio.sleep(QUEUE_S)
            await self._seen.flush()
        finally:
            await frozen

    async def _work(self) -> None:
        """A customer is registered, whose set-up is a job."""
        async with open_client(self._system.run.gateway, self._system.admin_key) as admin:
            await admin.create_customer("UTC", external_id=f"upset-{uuid4()}")

    async def _fence(self) -> None:
        await fence(self._stores.settings, self._system.folder)
