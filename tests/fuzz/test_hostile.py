"""A corpus of hostile requests: each is refused with a problem, and the next caller is served."""

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.test_utils import TestServer
from yarl import URL

from fitstream.client import Client
from fitstream.gateway.app import make_app
from fitstream.gateway.pages.app import make_app as make_pages
from tests.conftest import RunningStack
from tests.real import Wearer, new_wearer

pytestmark = pytest.mark.stack
DEEP = 20_000
_WAIT_S = 20
SLOT = "2026-11-23T00:00:00Z"


@pytest.fixture(scope="module")
async def wearer(admin: Client) -> Wearer:
    return await new_wearer(admin)


@pytest.fixture
async def http(stack: RunningStack) -> AsyncIterator[ClientSession]:
    """A connection for each request: some of these are closed on us."""
    connector = TCPConnector(force_close=True)
    async with ClientSession(stack.gateway, connector=connector) as session:
        yield session


@pytest.fixture(autouse=True)
async def _still_serves(http: ClientSession) -> AsyncIterator[None]:
    """Whatever was sent, the gateway answers the next caller."""
    yield
    async with http.get("/healthz") as answer:
        assert answer.status == 200


def post_with(row: str) -> bytes:
    """A post of one row whose text is given; `%device%` is put in later."""
    return (f'{{"device_id": "%device%", "sent_at": "{SLOT}", "samples": [{row}]}}').encode()


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "an open brace": b"{",
    "deep lists": b"[" * DEEP,
    "deep lists that end": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a deep row": post_with('{"slot": ' + "[" * 5000 + "]" * 5000 + "}"),
    "a huge integer": post_with('{"slot": "' + SLOT + '", "steps": ' + "9" * 5000 + "}"),
    "a huge exponent": post_with('{"slot": "' + SLOT + '", "distance_m": 1e99999}'),
    "an integer of 2**63": post_with('{"slot": "' + SLOT + '", "rev": 9223372036854775808}'),
    "NaN": post_with('{"slot": "' + SLOT + '", "distance_m": NaN}'),
    "Infinity": post_with('{"slot": "' + SLOT + '", "distance_m": -Infinity}'),
    "NUL in a text": post_with('{"slot": "2026\\u0000"}'),
    "a raw NUL": post_with('{"slot": "2026\x00"}'),
    "half a surrogate pair": post_with('{"slot": "\\ud800"}'),
    "half a pair in the envelope": b'{"device_id": "\\udfff", "sent_at": "x", "samples": []}',
    "no UTF-8": b'{"device_id": "\xff\xfe"}',
    "UTF-16": '{"device_id": "x"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a key twice": b'{"samples": [], "samples": [], "device_id": "x"}',
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "ten thousand fields": json.dumps({f"f{i}": i for i in range(10_000)}).encode(),
    "year 0": post_with('{"slot": "0000-00-00T00:00:00Z"}'),
    "year 9999": post_with('{"slot": "9999-12-31T23:45:00+14:00"}'),
    "a slot of a thousand digits": post_with('{"slot": "' + "1" * 1000 + '"}'),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_hostile_post_is_refused(http: ClientSession, wearer: Wearer, name: str) -> None:
    body = BODIES[name].replace(b"%device%", wearer.device.id.encode())
    await _refused(http, "/v1/samples", wearer.device.key, body)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/v1/customers", "/v1/auth/login", "/v1/training-runs"])
async def test_a_hostile_body_of_another_route_is_refused(
    http: ClientSession, stack: RunningStack, path: str, name: str
) -> None:
    await _refused(http, path, "" if "login" in path else stack.admin_key, BODIES[name])


@pytest.mark.parametrize("text", ["\x00" * 900, ",\n" * 5000, '"' * 999, "slot\n" + "9" * 9999])
async def test_hostile_csv_is_refused(http: ClientSession, wearer: Wearer, text: str) -> None:
    query = f"?device_id={wearer.device.id}&sent_at={SLOT}"
    await _refused(http, f"/v1/samples{query}", wearer.device.key, text.encode(), "text/csv")


async def test_a_gzip_bomb_is_refused_unopened(http: ClientSession, wearer: Wearer) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 1_000_000
    headers = {"Content-Encoding": "gzip"}
    status = await _refused(http, "/v1/samples", wearer.device.key, bomb, headers=headers)
    assert status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "compress"])
async def test_what_is_not_packed_as_it_says_is_refused(
    http: ClientSession, wearer: Wearer, stack: RunningStack, encoding: str
) -> None:
    headers = {"Content-Encoding": encoding}
    for path, key in (("/v1/samples", wearer.device.key), ("/v1/customers", stack.admin_key)):
        await _refused(http, path, key, b"\x1f\x8b garbage", headers=headers)


@pytest.mark.parametrize("encoding", ["deflate", "br", "dance", "gzip, gzip"])
async def test_only_gzip_is_taken_whoever_reads_the_body(
    http: ClientSession, stack: RunningStack, encoding: str
) -> None:
    raw = zlib.compress(b"{}") if encoding == "deflate" else b"{}"
    for method, path, kind, key in (
        ("POST", "/v1/auth/login", "application/json", ""),
        ("POST", "/v1/customers", "application/json", stack.admin_key),
        ("POST", "/v1/customers/import", "text/csv", stack.admin_key),
        ("POST", "/v1/uploads?name=a.csv", "text/csv", stack.admin_key),
        ("PUT", "/v1/customers/nobody/picture", "image/png", stack.admin_key),
        ("POST", "/v1/oauth/token", "application/x-www-form-urlencoded", ""),
        ("POST", "/auth/login", "application/json", ""),
        ("POST", "/auth/register", "application/x-www-form-urlencoded", ""),
        ("POST", "/admin/login", "application/x-www-form-urlencoded", ""),
    ):
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        async with http.request(method, path, data=raw, headers=headers) as answer:
            # The HTTP library turns away what it knows and cannot unpack, before anybody reads.
            assert answer.status in (415, 400 if encoding == "br" else 415), await answer.text()


@pytest.mark.parametrize("path", ["token", "revoke", "introspect", "device"])
@pytest.mark.parametrize(
    "secret", [b"\xff\xfe", b"a:\xff", b":", b"\0:\0", b"%00:%ff", b"=" * 9000]
)
async def test_a_client_whose_secret_is_no_text_is_refused(
    http: ClientSession, path: str, secret: bytes
) -> None:
    headers = {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
    form = {"grant_type": "client_credentials", "token": "x"}
    async with http.post(f"/v1/oauth/{path}", data=form, headers=headers) as answer:
        assert 400 <= answer.status < 500, await answer.text()


LINES = ["%0d%0aX-Evil:%20yes", "%0aX-Evil:%20yes", "%0d", "%00", "%e2%80%a8", "%ff%0d%0a"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_no_line_break_of_a_stranger_becomes_a_header(
    http: ClientSession, stack: RunningStack, line: str, accept: str
) -> None:
    headers = {"Accept": f"{accept}, */*"}
    for base in (stack.gateway, stack.pages):
        for path in (
            f"/auth/verify_email/1/{line}",
            f"/admin/login?next=/admin{line}",
            f"/login?next=/today{line}",
            f"/admin/customers?search={line}",
            f"/oauth/authorize?state={line}",
            f"/v1/oauth/authorize?client_id=x{line}&state={line}",
            f"/v1/customers/{line}",
            f"/verify?token={line}",
            f"/{line}",
        ):
            url = URL(f"{base}{path}", encoded=True)
            async with http.get(url, headers=headers, allow_redirects=False) as answer:
                assert answer.status < 500, path
                assert "X-Evil" not in answer.headers, path


async def test_a_file_or_a_form_that_trickles_is_not_waited_for_for_ever(
    stack: RunningStack,
) -> None:
    """Each byte comes in time; all of them would take minutes."""
    impatient = msgspec.structs.replace(stack.settings, body_timeout_s=0.3)
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    length = b"Content-Length: 1000\r\n\r\n"
    async with (
        TestServer(make_app(impatient)) as gateway,
        TestServer(make_pages(impatient)) as pages,
    ):
        api, site = ((one.host, one.port or 0) for one in (gateway, pages))
        upload = _head("POST", "/v1/uploads?name=a.csv", stack.admin_key).replace(
            b"application/json", b"text/csv"
        )
        answers = await asyncio.gather(
            _trickled(api, upload + length),
            _trickled(api, b"POST /v1/oauth/token HTTP/1.1\r\nHost: x\r\n" + form + length),
            _trickled(api, b"POST /auth/login HTTP/1.1\r\nHost: x\r\n" + form + length),
            _trickled(api, b"POST /admin/login HTTP/1.1\r\nHost: x\r\n" + form + length),
            _trickled(site, b"POST /login HTTP/1.1\r\nHost: x\r\n" + form + length),
        )
    assert [answer.partition(b" ")[2][:3] for answer in answers] == [b"408"] * len(answers)


async def _trickled(at: tuple[str, int], head: bytes) -> bytes:
    """The start of the answer to a body of which a byte comes every 50 ms."""
    reader, writer = await asyncio.open_connection(*at)

    async def trickle() -> None:
        writer.write(head)
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(trickle())
    try:
        return await asyncio.wait_for(reader.read(64), _WAIT_S)
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    stack: RunningStack, wearer: Wearer
) -> None:
    head = _head("POST", "/v1/samples", wearer.device.key) + b"Content-Length: 1000\r\n\r\n{"
    impatient = msgspec.structs.replace(stack.settings, body_timeout_s=0.3)
    async with TestServer(make_app(impatient)) as server:
        answer = await _raw((server.host, server.port or 0), head)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"slow_body"' in answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n0\r\n\r\n",
            b"400",
        ),
    ],
    ids=[
        "long line",
        "long header",
        "no colon",
        "version",
        "TLS",
        "length",
        "lengths",
        "smuggling",
    ],
)
async def test_what_is_no_http_is_refused_as_a_problem(
    stack: RunningStack, request_line: bytes, status: bytes
) -> None:
    answer = await _raw(_address(stack), request_line)
    assert answer.split(b" ")[1] == status
    assert b"application/problem+json" in answer


async def test_a_flood_of_headers_is_refused(stack: RunningStack) -> None:
    flood = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 100) for i in range(100_000))
    answer = await _raw(_address(stack), b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + flood + b"\r\n")
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"431")


async def test_pipelined_requests_are_answered_in_order(stack: RunningStack) -> None:
    one = b"GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\n"
    other = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await _raw(_address(stack), (one + other) * 200 + last)
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404"] * 200 + [b"200"]


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_idle_connections_do_not_keep_others_out(
    stack: RunningStack, http: ClientSession, count: int
) -> None:
    host, port = _address(stack)
    _allow_files(count + 500)
    idle = []
    try:
        for _ in range(count):
            idle.append(await asyncio.open_connection(host, port))
        for _ in range(10):
            async with asyncio.timeout(10), http.get("/v1/time") as answer:
                assert answer.status == 200
    finally:
        for _, writer in idle:
            writer.transport.abort()


async def _refused(
    http: ClientSession,
    path: str,
    key: str,
    body: bytes,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> int:
    """The 4xx, said as a problem, that the body is answered with."""
    sent = {"Content-Type": content_type, **(headers or {})}
    if key:
        sent["Authorization"] = f"Bearer {key}"
    async with http.post(path, data=body, headers=sent) as answer:
        text = await answer.text()
        assert 400 <= answer.status < 500, text
        assert answer.content_type == "application/problem+json"
        assert json.loads(text)["code"]
        return answer.status


def _head(method: str, path: str, key: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"X-Sent-At: {now}\r\nContent-Type: application/json\r\n"
    ).encode()


def _address(stack: RunningStack) -> tuple[str, int]:
    host, _, port = stack.gateway.removeprefix("http://").partition(":")
    return host, int(port)


async def _raw(address: tuple[str, int], sent: bytes) -> bytes:
    """All that comes back on a connection of its own before it is closed, or a problem."""
    reader, writer = await asyncio.open_connection(*address)
    received = b""
    try:
        async with asyncio.timeout(_WAIT_S):
            writer.write(sent)
            while part := await reader.read(65_536):
                received += part
                if received.endswith(b"}") and b"problem+json" in received and len(sent) < 1000:
                    break
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    finally:
        writer.transport.abort()
    return received


def _allow_files(wanted: int) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine allows {hard} open files")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
