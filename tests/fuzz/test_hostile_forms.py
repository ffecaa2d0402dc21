"""Forms of pages and of old clients, with bodies and values that no browser would send."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import quote_from_bytes
from uuid import uuid4

import pytest
from aiohttp import ClientSession, TCPConnector, web
from yarl import URL

import fitstream
from fitstream import csrf
from fitstream.client import Client
from fitstream.gateway.app import make_app as gateway
from fitstream.gateway.pages.app import make_app as pages
from tests.conftest import RunningStack
from tests.real import new_wearer

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"
FORM = "application/x-www-form-urlencoded"
MULTI = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="email"\r\n'

BODIES: dict[str, tuple[str, bytes]] = {
    "nothing": (MULTI, b""),
    "no boundary": ("multipart/form-data", b"--x\r\n"),
    "an empty boundary": ("multipart/form-data; boundary=", b"--\r\n"),
    "a boundary of 200 characters": (f"multipart/form-data; boundary={'y' * 200}", b"--y\r\n"),
    "another boundary": (MULTI, b"--y\r\n\r\n--y--\r\n"),
    "rubbish": (MULTI, bytes(range(256)) * 4),
    "the beginning of a part": (MULTI, PART),
    "a part without an end": (MULTI, PART + b"\r\nx@example.org"),
    "a part without a name": (
        MULTI,
        b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n",
    ),
    "a part without headers": (MULTI, b"--x\r\n\r\nv\r\n--x--\r\n"),
    "a header without a colon": (MULTI, b"--x\r\nno colon\r\n\r\nv\r\n--x--\r\n"),
    "a header of 100 kB": (MULTI, b"--x\r\nA: " + b"a" * 50_000 + b"\r\n\r\nv\r\n--x--\r\n"),
    "a charset that is none": (
        MULTI,
        PART + b"Content-Type: text/plain; charset=klingon\r\n\r\nv\r\n--x--\r\n",
    ),
    "bytes that are no UTF-8": (MULTI, PART + b"\r\n\xff\xfe\r\n--x--\r\n"),
    "packed as nobody packs": (
        MULTI,
        PART + b"Content-Transfer-Encoding: dance\r\n\r\nv\r\n--x--\r\n",
    ),
    "base64 that is none": (
        MULTI,
        PART + b"Content-Transfer-Encoding: base64\r\n\r\n%%%\r\n--x--\r\n",
    ),
    "gzip that is none": (MULTI, PART + b"Content-Encoding: gzip\r\n\r\nv\r\n--x--\r\n"),
    "parts in parts": (
        MULTI,
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
        b"--y\r\n\r\nv\r\n--y--\r\n--x--\r\n",
    ),
    "a thousand fields": (MULTI, (PART + b"\r\nv\r\n") * 1000 + b"--x--\r\n"),
    "a file where a text belongs": (
        MULTI,
        b'--x\r\nContent-Disposition: form-data; name="csrf"; filename="a"\r\n\r\nv\r\n--x--\r\n',
    ),
    "an unknown charset": (f"{FORM}; charset=klingon", b"email=x"),
    "a charset of bytes": (f"{FORM}; charset=base64", b"email=x"),
    "UTF-16 that is none": (f"{FORM}; charset=utf-16", b"email=x"),
    "half surrogates by UTF-7": (f"{FORM}; charset=utf-7", b"email=+2AA-&csrf=+2AA-"),
    "no UTF-8": (FORM, b"email=\xff\xfe&csrf=\xff"),
    "half surrogates": (FORM, b"email=%ED%A0%80&csrf=%ED%A0%80"),
    "NUL": (FORM, b"email=%00&csrf=%00&password=%00"),
    "no name": (FORM, b"=&=&==&&&"),
    "ten thousand fields": (FORM, b"&".join(b"f%d=1" % i for i in range(5_000))),
    "percent signs": (FORM, b"%&%=%%&%zz=%u1234"),
}


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    """A connection for each request: some of these are closed on us."""
    async with ClientSession(connector=TCPConnector(force_close=True)) as session:
        yield session


@pytest.mark.parametrize("name", BODIES)
async def test_a_hostile_form_is_refused_as_a_page_or_a_problem(
    http: ClientSession, stack: RunningStack, name: str
) -> None:
    content_type, body = BODIES[name]
    for address, kind in (
        (f"{stack.gateway}/admin/login", "text/html"),
        (f"{stack.pages}/login", "text/html"),
        (f"{stack.pages}/register", "text/html"),
        (f"{stack.gateway}/auth/login", "application/json"),
        (f"{stack.gateway}/v1/oauth/token", "json"),
    ):
        headers = {"Content-Type": content_type}
        async with http.post(address, data=body, headers=headers) as answer:
            text = await answer.text()
            assert 400 <= answer.status < 500, f"{address}: {answer.status} {text[:300]}"
            assert kind in answer.content_type, address


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "dance"])
async def test_a_form_that_is_not_packed_as_it_says_is_refused(
    http: ClientSession, stack: RunningStack, encoding: str
) -> None:
    headers = {"Content-Type": FORM, "Content-Encoding": encoding}
    for address in (f"{stack.gateway}/admin/login", f"{stack.pages}/login"):
        async with http.post(address, data=b"\x1f\x8b garbage", headers=headers) as answer:
            assert 400 <= answer.status < 500, address


@pytest.mark.parametrize(
    "cookie", ["\udcff", "fs_me=\udcff", 'fs_admin="\\377"', "=;=;=", "a" * 4000]
)
async def test_a_cookie_that_is_none_is_nobodys(stack: RunningStack, cookie: str) -> None:
    raw = cookie.encode(errors="surrogateescape")
    for base, path in ((stack.gateway, "/admin"), (stack.pages, "/today")):
        for name in ("fs_admin", "fs_me", "fs_me_visitor"):
            status = await _status_with_cookie(URL(base), path, name.encode() + b"=" + raw)
            assert status < 500, (base, name)


async def _status_with_cookie(base: URL, path: str, cookie: bytes) -> int:
    reader, writer = await asyncio.open_connection(base.host, base.port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
        writer.write(head + b"Cookie: " + cookie + b"\r\n\r\n")
        async with asyncio.timeout(20):
            return int((await reader.readline()).split()[1])
    finally:
        writer.transport.abort()


VALUES = {
    "NUL": "\x00",
    "half a pair": "\ud800",
    "5,000 digits": "9" * 5_000,
    "a huge exponent": "1e99999",
    "NaN": "nan",
    "deep lists": "[" * 5_000,
    "markup": "<script>\"'</script>{{7*7}}",
    "other digits": "٣",
    "a year that is none": "0000-99-99",
}
PLACES = {
    "week": "2026-W47", "session": "ses_none", "grant": "grt_none", "account": "acc_none",
    "job": "job_none", "letter": "1", "upload": "upl_none", "way": "ingest", "run": "job_none",
    "mapping": "none", "model": "mod_none",
}  # fmt: skip
ENDS = ("logout", "everywhere", "/standing", "/remove", "/end", "train")


def field_names() -> list[str]:
    """Names of all fields of all forms."""
    folder = Path(fitstream.__file__).parents[1] / "templates"
    texts = [path.read_text() for path in folder.rglob("*.html")]
    return sorted({name for text in texts for name in re.findall(r'name="(\w+)"', text)})


def form_paths(router: web.UrlDispatcher, prefix: str) -> list[str]:
    """Paths of forms, but of those that end the session or start work of minutes."""
    paths = {
        route.resource.canonical
        for route in router.routes()
        if route.method == "POST" and route.resource is not None
    }
    return sorted(
        path for path in paths if path.startswith(prefix) and not any(end in path for end in ENDS)
    )


@pytest.mark.parametrize("rounds", [1, pytest.param(len(VALUES), marks=pytest.mark.slow)])
async def test_hostile_values_in_every_form_are_no_bug(
    http: ClientSession, stack: RunningStack, admin: Client, rounds: int
) -> None:
    """Every field gets another value; after all rounds every field has had every value."""
    wearer = await new_wearer(admin)
    email = f"{uuid4().hex}@example.org"
    await admin.create_staff(email, "admin", password=PASSWORD)
    staff = (await admin.as_who("").login(email, PASSWORD)).token
    mine = f"{wearer.customer.id}@example.org"
    await admin.set_login(wearer.customer.id, mine, PASSWORD)
    own = (await admin.as_who("").login(mine, PASSWORD)).token
    places = PLACES | {"customer": wearer.customer.id, "device": wearer.device.id}
    names = [name for name in field_names() if name != csrf.FIELD]
    assert len(names) > 30
    for base, cookie, token, paths in (
        (stack.gateway, "fs_admin", staff, form_paths(gateway(stack.settings).router, "/admin/")),
        (stack.pages, "fs_me", own, form_paths(pages(stack.settings).router, "/")),
    ):
        assert len(paths) > 10
        headers = {"Cookie": f"{cookie}={token}", "Content-Type": FORM}
        proof = csrf.token(stack.settings.secret_key, token)
        for path in paths:
            where = re.sub(r"{(\w+)[^}]*}", lambda found: places.get(found[1], "none"), path)
            for shift in range(rounds):
                values = islice(cycle(VALUES.values()), shift, None)
                body = _encoded(dict(zip(names, values, strict=False)) | {csrf.FIELD: proof})
                async with http.post(
                    f"{base}{where}", data=body, headers=headers, allow_redirects=False
                ) as answer:
                    assert answer.status < 500, f"{where}: {answer.status} in round {shift}"


def _encoded(fields: dict[str, str]) -> bytes:
    return "&".join(
        f"{name}={quote_from_bytes(value.encode(errors='surrogatepass'), safe='')}"
        for name, value in fields.items()
    ).encode()
