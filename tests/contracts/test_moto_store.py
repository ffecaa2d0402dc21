"""A second implementation of S3, with what the first one cannot show: pages, regions, outages."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
from moto.server import ThreadedMotoServer

from fitstream.errors import Unavailable
from fitstream.settings import Settings, load
from fitstream.store import Store, open_store
from tests.contracts.store_contract import StoreContract, keys_of
from tests.factories import SETTINGS


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(endpoint: str) -> Settings:
    return msgspec.structs.replace(
        load(SETTINGS),
        s3_endpoint=endpoint,
        s3_access_key="test",
        s3_secret_key="test",
        s3_bucket=f"bucket-{uuid4().hex[:12]}",
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with open_store(settings) as opened:
        await opened.make_bucket()
        yield opened


class TestMotoStore(StoreContract):
    checksums = ("md5", "sha256")


async def test_a_bucket_can_be_made_in_any_region(settings: Settings) -> None:
    abroad = msgspec.structs.replace(settings, s3_region="eu-central-1")
    async with open_store(abroad) as store:
        await asyncio.gather(*(store.make_bucket() for _ in range(3)))
        await store.put_new("name", b"bytes")
        assert await store.get("name") == b"bytes"


@asynccontextmanager
async def saying(settings: Settings, *answers: tuple[str, str]) -> AsyncIterator[Store]:
    """A store whose endpoint gives these answers (status, body) one by one, the last for ever."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status, body = left.pop(0) if len(left) > 1 else left[0]
        length = 1000 if status == BROKEN else len(body)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = msgspec.structs.replace(settings, s3_endpoint=f"http://127.0.0.1:{port}")
    async with server, open_store(there) as store:
        yield store


BROKEN = "200 Broken"


def error(code: str) -> str:
    return f"<Error><Code>{code}</Code></Error>"


def listing(*names: str, following: str = "") -> str:
    about = "<Size>1</Size><LastModified>2026-11-23T12:00:00.000Z</LastModified>"
    found = "".join(f"<Contents><Key>{name}</Key>{about}</Contents>" for name in names)
    token = f"<NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    cut = str(bool(following)).lower()
    body = f"<IsTruncated>{cut}</IsTruncated>{token}{found}"
    return f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>'


async def test_a_long_list_is_read_page_by_page(settings: Settings) -> None:
    pages = [("200 OK", listing("a", "b", following="more")), ("200 OK", listing("c"))]
    async with saying(settings, *pages) as store:
        assert await keys_of(store) == ["a", "b", "c"]


async def test_a_body_that_breaks_off_is_unavailable(settings: Settings) -> None:
    async with saying(settings, (BROKEN, "half of it")) as store:
        with pytest.raises(Unavailable):
            await store.get("name")


async def test_a_store_that_refuses_us_is_unavailable(settings: Settings) -> None:
    async with saying(settings, ("403 Forbidden", error("AccessDenied"))) as store:
        for call in (store.get("name"), store.put_new("name", b"x"), store.ping()):
            with pytest.raises(Unavailable):
                await call


async def test_a_name_that_another_is_just_writing_may_be_tried_again(settings: Settings) -> None:
    answers = [
        ("409 Conflict", error("ConditionalRequestConflict")),
        ("404 Not Found", error("NoSuchKey")),
    ]
    async with saying(settings, *answers) as store:
        with pytest.raises(Unavailable):
            await store.put_new("name", b"x")


async def test_an_endpoint_that_is_away_is_unavailable(settings: Settings) -> None:
    away = msgspec.structs.replace(settings, s3_endpoint="http://127.0.0.1:9")
    async with open_store(away) as store:
        with pytest.raises(Unavailable):
            await store.get("name")
