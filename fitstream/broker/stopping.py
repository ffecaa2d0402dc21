"""Stopping a client of aiokafka within a deadline."""

import asyncio
from contextlib import suppress
from typing import Any

from aiokafka.errors import KafkaError

_STOP_S = 10


async def stop_client(client: Any, method: str = "stop") -> None:
    """aiokafka's own stop may wait for ever while brokers are down."""
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await getattr(client, method)()
