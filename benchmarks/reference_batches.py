"""The limit of ingest in batches: aiohttp, msgspec and aiokafka with nothing of ours between.

Decodes and checks a post, encodes it as columns, sends it with acks=all, answers 202.
"""

import os
import sys
from typing import Annotated, Any

import msgspec
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer
from msgspec import Meta

from benchmarks.reference_empty import serve

Bpm = Annotated[float, Meta(ge=20, le=260)]
Minutes = Annotated[float, Meta(ge=0, le=15)]


class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    slot: str
    tz_offset_min: Annotated[int, Meta(ge=-840, le=840)] = 0
    rev: Annotated[int, Meta(ge=0)] = 0
    deleted: bool = False
    steps: Annotated[int, Meta(ge=0, le=6000)] | None = None
    distance_m: Annotated[float, Meta(ge=0, le=20_000)] | None = None
    calories_kcal: Annotated[float, Meta(ge=0, le=2000)] | None = None
    heart_rate_bpm: Bpm | None = None
    heart_rate_min_bpm: Bpm | None = None
    heart_rate_max_bpm: Bpm | None = None
    light_min: Minutes | None = None
    moderate_min: Minutes | None = None
    vigorous_min: Minutes | None = None
    sedentary_min: Minutes | None = None
    sleep_min: Minutes | None = None
    floors: Annotated[int, Meta(ge=0, le=200)] | None = None


class Post(msgspec.Struct, forbid_unknown_fields=True):
    device_id: str
    sent_at: str
    app_version: str
    samples: list[Row]


_decode = msgspec.json.Decoder(Post).decode
_encode = msgspec.msgpack.Encoder().encode
_FORM = os.environ.get("REFERENCE_FORM", "columns")


def handler(producer: Any, topic: str) -> Any:
    """The whole of it."""

    async def post(request: web.Request) -> web.Response:
        found = _decode(await request.read())
        rows = found.samples
        value = _encode(
            list(zip(*map(msgspec.structs.astuple, rows), strict=True))
            if _FORM == "columns"
            else rows
        )
        sent = await producer.send(topic, value, found.device_id.encode())
        stored = await sent
        answer = {"partition": stored.partition, "offset": stored.offset, "accepted": len(rows)}
        return web.Response(
            body=msgspec.json.encode(answer), status=202, content_type="application/json"
        )

    return post


async def main(port: int, kafka: str, topic: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True,
        compression_type="zstd", linger_ms=5, max_batch_size=131_072,
    )  # fmt: skip
    await producer.start()
    try:
        await serve(handler(producer, topic), port)
    finally:
        await producer.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
