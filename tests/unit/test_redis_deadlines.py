"""A Redis that falls silent ends every call with an error: nobody waits for it for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from redis.exceptions import RedisError

from fitstream import jobs, worker
from fitstream.errors import Unavailable
from fitstream.jobs import ArqDoorbell, open_pool
from fitstream.settings import Settings, load
from tests.factories import SETTINGS


class Silent:
    """Speaks as much of Redis as a handshake needs, until it is told to be silent."""

    def __init__(self) -> None:
        self.is_silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if not line.startswith(b"*"):
                    continue
                words = [await self._word(reader) for _ in range(int(line[1:]))]
                if not self.is_silent:
                    writer.write(b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n")
                    await writer.drain()
        finally:
            writer.close()

    @staticmethod
    async def _word(reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]


@asynccontextmanager
async def silent_redis() -> AsyncIterator[tuple[Silent, Settings]]:
    redis = Silent()
    async with await asyncio.start_server(redis.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = load(SETTINGS)
        yield redis, msgspec.structs.replace(settings, redis=f"redis://127.0.0.1:{port}/0")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_ANSWER_S", 0.2)


async def test_a_pool_that_redis_does_not_greet_is_not_opened() -> None:
    async with silent_redis() as (redis, settings), asyncio.timeout(20):
        redis.is_silent = True
        with pytest.raises(Unavailable) as error:
            await worker.open_pool_or_unavailable(settings)
        assert error.value.service == "redis"


async def test_what_a_worker_asks_of_a_silent_redis_ends() -> None:
    async with silent_redis() as (redis, settings), asyncio.timeout(20):
        pool = await open_pool(settings)
        redis.is_silent = True
        with pytest.raises(RedisError):
            await pool.zrangebyscore("fitstream:light", 0, 1)
        await pool.aclose()
        await pool.connection_pool.disconnect()


async def test_a_ring_at_a_silent_redis_is_unavailable() -> None:
    async with silent_redis() as (redis, settings), asyncio.timeout(20):
        redis.is_silent = True
        doorbell = ArqDoorbell(settings)
        with pytest.raises(Unavailable):
            await doorbell.ring("light", "job_x", 0)
        await doorbell.stop()
