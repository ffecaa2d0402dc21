"""The doorbell: telling arq that a job row wants a worker; with worker.py the only importer of arq.

Redis holds no truth. What it loses is told again from the job table.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from fitstream.errors import Unavailable
from fitstream.settings import Settings

TASK = "run_job"
_RING_S = 5.0
_ANSWER_S = 10.0
_CONNECTIONS_MAX = 32
_RINGS_ALIKE = 5


class Doorbell(Protocol):
    """Tells a worker of a queue that a job waits."""

    async def ring(self, queue: str, job_id: str, epoch: int) -> None:
        """Repeats under one lease epoch are one ring. Raises Unavailable."""
        ...


class ArqDoorbell:
    """The doorbell on Redis."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: ArqRedis | None = None

    async def ring(self, queue: str, job_id: str, epoch: int) -> None:
        try:
            if self._pool is None:
                self._pool = await asyncio.wait_for(open_pool(self._settings), _RING_S)
            async with asyncio.timeout(_RING_S):
                await self._pool.enqueue_job(
                    TASK,
                    job_id,
                    _job_id=f"{job_id}:{epoch}:{self._round()}",
                    _queue_name=queue_name(queue),
                    _expires=3600,
                )
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("redis", str(error)) from error

    def _round(self) -> int:
        """Part of arq's id: for an hour, arq wakes nobody by an id that a killed worker held."""
        return int(time.time() / (_RINGS_ALIKE * self._settings.job_resend_s))

    async def stop(self) -> None:
        """Closes the connections."""
        if self._pool is not None:
            await self._pool.aclose()
            await self._pool.connection_pool.disconnect()


def queue_name(queue: str) -> str:
    """Key of a queue in Redis: one per job class, so that a killed job blocks only its like."""
    return f"fitstream:{queue}"


async def open_pool(settings: Settings) -> ArqRedis:
    """A pool that speaks msgpack, never pickle; every call of it has a deadline.

    A Redis that is silent, and not only one that is gone, ends a call with an error. arq's own
    `create_pool` sets no deadline for reads. Raises RedisError or OSError when it does not answer.
    """
    connections = BlockingConnectionPool.from_url(
        settings.redis,
        max_connections=_CONNECTIONS_MAX,
        timeout=_RING_S,  # for a free connection
        socket_connect_timeout=3,
        socket_timeout=_ANSWER_S,
        socket_keepalive=True,
        health_check_interval=15,
    )
    pool = ArqRedis(
        pool_or_conn=connections, job_serializer=encode_job, job_deserializer=decode_job
    )
    try:
        await pool.ping()
    except BaseException:
        await pool.aclose()
        await connections.disconnect()
        raise
    return pool


def encode_job(job: dict[str, Any]) -> bytes:
    """An arq job as msgpack."""
    return msgspec.msgpack.encode(job)


def decode_job(data: bytes) -> dict[str, Any]:
    """Inverse of `encode_job`."""
    decoded: dict[str, Any] = msgspec.msgpack.decode(data)
    return decoded


@asynccontextmanager
async def open_jobs(settings: Settings) -> AsyncIterator[ArqDoorbell]:
    """The doorbell; it connects at the first ring."""
    doorbell = ArqDoorbell(settings)
    try:
        yield doorbell
    finally:
        await doorbell.stop()
