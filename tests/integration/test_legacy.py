"""The predecessor's clients go their whole way with the old shapes, however they authenticate."""

import asyncio
import email
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import policy
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from aiohttp import ClientSession, CookieJar, DigestAuthMiddleware, TraceConfig

from fitstream.client import Client
from fitstream.legacydaily import COLUMNS
from fitstream.repo.database import open_repo
from tests.conftest import RunningStack
from tests.real import day_of_samples, eventually, ledger_of, new_wearer, wait_for_rows

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"
HEART = (
    "HeartRate{activitiesHeart=[ActivitiesHeart{dateTime=2020-08-12|value=Value{"
    "customHeartRateZones=[]|heartRateZones=[HeartRateZone{caloriesOut=1000.2|max=94|min=30|"
    "minutes=1200|name='OutofRange'}]|restingHeartRate=61}}]}"
)
USER = {
    "address", "bio", "city", "email", "fname", "gender", "lname", "password", "phone", "state",
    "uname", "zipcode", "is_admin", "is_email_verified", "profile_pic", "user_id",
}  # fmt: skip


def daily_csv(token: str, day: datetime, steps: int = 8123) -> str:
    date = f"{day:%a %b %d %H:%M:%S} UTC {day:%Y}"
    row = f"{token},999999,{date},-1,500,1500,2100.5,300,{steps},5.6,5.6,0,1,0.5,12,3.9,180,0,900"
    return f"{','.join(COLUMNS)}\n{row},{HEART}\n"


def object_name(day: datetime) -> str:
    return f"Date_{day:%Y-%m-%d}_User_id_999999_fitbitdata.csv"


class Old(NamedTuple):
    """An old client and who uses it."""

    http: ClientSession
    username: str
    email: str


def tokens_in(folder: Path, address: str) -> list[str]:
    """Tokens of the links in the mails to an address."""
    found: list[str] = []
    for path in sorted(folder.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        body = message.get_body(("plain",))
        if address in str(message["To"]) and body is not None:
            found += re.findall(r"token=([\w-]+)", body.get_content())
    return found


async def mailed_token(stack: RunningStack, address: str) -> str:
    """The token in the newest mail to an address."""
    found: list[str] = []

    async def arrived() -> bool:
        found.extend(tokens_in(stack.folder / "mail", address))
        return bool(found)

    await eventually(arrived)
    return found[-1]


async def open_to_all(stack: RunningStack) -> None:
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        await db.execute("UPDATE programme SET open_registration = true WHERE id = 'default'")


async def say(http: ClientSession, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with http.request(method, path, **more) as response:
        return response.status, json.loads(await response.text())


async def new_old_client(stack: RunningStack, http: ClientSession, *, as_form: bool = False) -> Old:
    """Registers with the old shapes and confirms the address."""
    await open_to_all(stack)
    name = f"old{uuid4().hex[:10]}"
    address = f"{name}@example.org"
    fields = {
        "username": name, "email": address, "password": PASSWORD, "phone": "555-0100",
        "name": "Ada", "lname": "Byron", "gender": "female", "address": "1 Main St",
        "city": "Austin", "zipcode": "73301", "state": "TX",
    }  # fmt: skip
    sent = {"data": fields} if as_form else {"json": fields}
    status, answer = await say(http, "POST", "/auth/register", **sent)
    assert (status, answer["status"], answer["user"]["password"]) == (201, "success", None)
    token = await mailed_token(stack, address)
    status, answer = await say(http, "GET", f"/auth/verify_email/123456/{token}")
    assert (status, answer["status"]) == (200, "success")
    return Old(http, name, address)


@pytest.fixture
async def old_http(stack: RunningStack) -> AsyncIterator[ClientSession]:
    """A client that keeps no cookies."""
    async with ClientSession(stack.gateway, cookie_jar=CookieJar(unsafe=False)) as session:
        yield session


@pytest.mark.parametrize("bearer", ["", "Bearer "], ids=["bare", "bearer"])
async def test_the_whole_way_of_an_old_client(
    stack: RunningStack, old_http: ClientSession, admin: Client, bearer: str
) -> None:
    old = await new_old_client(stack, old_http, as_form=not bearer)
    login = {"username": old.username, "password": PASSWORD}
    sent = {"json": login} if bearer else {"data": login}
    status, answer = await say(old_http, "POST", "/auth/login", **sent)
    assert (status, answer["status"]) == (201, "success")
    user, token = answer["user"], answer["auth_token"]
    assert set(user) == USER
    assert isinstance(user["user_id"], int)
    assert (user["password"], user["is_email_verified"]) == (None, True)
    assert (user["uname"], user["city"], user["lname"]) == (old.username, "Austin", "Byron")
    auth = {"Authorization": f"{bearer}{token}"}

    status, answer = await say(old_http, "GET", "/auth/user_info", headers=auth)
    assert (status, answer["user"]["email"]) == (200, old.email)
    change = {"json": {"city": "Dallas", "is_admin": True, "password": "x"}, "headers": auth}
    status, answer = await say(old_http, "POST", "/auth/user_info", **change)
    assert (answer["user"]["city"], answer["user"]["is_admin"]) == ("Dallas", False)

    today = datetime.now(UTC)
    path = f"/compat/s3/{object_name(today)}"
    body = daily_csv(token, today).encode()
    async with old_http.put(path, data=body, headers=auth) as response:
        assert (response.status, response.headers["ETag"][0]) == (200, '"')
        answer = await response.json()
    assert (answer["days"], answer["provenance"]) == ([f"{today:%Y-%m-%d}"], "legacy-daily")

    status, answer = await say(
        old_http, "GET", "/auth/status", headers=auth, json={"date": f"{today:%Y-%m-%d}"}
    )
    data = answer["data"]
    assert (status, data["user_id"], data["fname"]) == (200, user["user_id"], "Ada")
    for row in ("steps", "calories", "heart_rate", "rating"):
        assert data["user_stats"][row] == [None] * 24  # a summary of a day is no hour of it
    status, answer = await say(old_http, "POST", "/auth/logout", headers=auth)
    assert (status, answer["status"]) == (200, "success")
    status, answer = await say(old_http, "GET", "/auth/status", headers=auth)
    assert (status, answer["status"]) == (401, "fail")

    (customer,) = (await admin.customers(search=old.email)).items
    (summary,) = await admin.daily_summaries(customer.id, today.date(), today.date())
    assert (summary.steps, summary.provenance) == (8123, "legacy-daily")
    assert (summary.resting_heart_rate_bpm, summary.heart_zones[0].minutes) == (61, 1200)
    assert (await admin.days(customer.id, today.date(), today.date()))[0].steps is None
    assert (await admin.samples(customer.id)).items == []


async def test_a_wrong_password_and_an_unknown_name_are_one_answer(
    stack: RunningStack, old_http: ClientSession
) -> None:
    old = await new_old_client(stack, old_http)
    answers = [
        await say(old_http, "POST", "/auth/login", data={"username": name, "password": "wrong one"})
        for name in (old.username, old.email, "nobody", "nobody@example.org")
    ]
    assert {status for status, _ in answers} == {404}
    assert {answer["message"] for _, answer in answers} == {"user name or password is wrong"}
    assert {answer["status"] for _, answer in answers} == {"fail"}


async def test_an_older_state_of_a_day_never_replaces_a_newer_and_repeats_change_nothing(
    admin: Client, stack: RunningStack, old_http: ClientSession
) -> None:
    wearer = await new_wearer(admin)
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=3)
    auth = {"Authorization": f"Bearer {wearer.device.key}"}
    for hour, steps, kept in ((10, 5000, 1), (8, 300, 0), (10, 5000, 1), (20, 9000, 1)):
        body = daily_csv("null", noon.replace(hour=hour), steps)
        _, answer = await say(
            old_http, "PUT", f"/compat/s3/{object_name(noon)}", data=body, headers=auth
        )
        assert answer["kept"] == kept
    (summary,) = await admin.daily_summaries(wearer.customer.id, noon.date(), noon.date())
    assert summary.steps == 9000


async def test_a_session_in_the_file_ends_but_not_the_one_that_sends_it(
    stack: RunningStack, old_http: ClientSession
) -> None:
    old = await new_old_client(stack, old_http)
    login = {"username": old.email, "password": PASSWORD}
    tokens = [
        (await say(old_http, "POST", "/auth/login", json=login))[1]["auth_token"] for _ in range(2)
    ]
    today = datetime.now(UTC)
    for token, last in ((tokens[1], 401), (tokens[0], 401)):
        auth = {"Authorization": tokens[0]}
        body = daily_csv(token, today)
        assert (await say(old_http, "PUT", "/compat/s3/x.csv", data=body, headers=auth))[0] == 200
        status, _ = await say(old_http, "GET", "/auth/status", headers={"Authorization": tokens[1]})
        assert status == last
    status, _ = await say(old_http, "GET", "/auth/status", headers={"Authorization": tokens[0]})
    assert status == 200


async def test_a_cookie_keeps_the_session_but_not_for_another_site(stack: RunningStack) -> None:
    async with ClientSession(stack.gateway, cookie_jar=CookieJar(unsafe=True)) as http:
        old = await new_old_client(stack, http)
        login = {"username": old.username, "password": PASSWORD}
        assert (await say(http, "POST", "/auth/login", data=login))[0] == 201
        assert (await say(http, "GET", "/auth/user_info"))[0] == 200
        assert (await say(http, "POST", "/auth/user_info", json={"city": "Reno"}))[0] == 200
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            status, answer = await say(
                http, "POST", "/auth/user_info", json={"city": "Gone"}, headers=headers
            )
            assert (status, answer["code"]) == (403, "cross_site")
        assert (await say(http, "GET", "/auth/user_info"))[1]["user"]["city"] == "Reno"
        async with http.get("/v1/me") as response:
            assert response.status == 401  # the API ignores cookies
        jar = {cookie.key: cookie.value for cookie in http.cookie_jar}
        assert (await say(http, "POST", "/auth/logout"))[0] == 200
        assert (await say(http, "GET", "/auth/user_info"))[0] == 401
        http.cookie_jar.update_cookies(jar)  # one that has ended keeps nobody from logging in again
        assert (await say(http, "POST", "/auth/login", data=login))[0] == 201
        assert (await say(http, "GET", "/auth/user_info"))[0] == 200


async def test_another_site_logs_nobody_in(stack: RunningStack, old_http: ClientSession) -> None:
    old = await new_old_client(stack, old_http)
    login = {"username": old.username, "password": PASSWORD}
    for headers, cookies in (({}, 1), ({"Sec-Fetch-Site": "cross-site"}, 0)):
        async with old_http.post("/auth/login", data=login, headers=headers) as response:
            assert (response.status, len(response.cookies)) == (201, cookies)


@pytest.mark.parametrize(
    ("kind", "body", "encoding"),
    [
        ("application/json", b"{", ""),
        ("application/json", b'{"username": "\\ud800"}', ""),
        ("application/json", b"[" * 50_000, ""),
        ("application/json", b'{"username": ["x"], "password": {}}', ""),
        ("multipart/form-data", b"nothing", ""),
        ("multipart/form-data; boundary=x", b"--x\r\nnothing", ""),
        ("application/x-www-form-urlencoded", b"username=%00&password=%ff", ""),
        ("application/x-www-form-urlencoded; charset=nose", b"username=x", ""),
        ("application/x-www-form-urlencoded", b"username=x", "gzip"),
        ("text/plain", b"\xff\xfe", ""),
    ],
)
async def test_a_hostile_body_is_the_callers_problem(
    old_http: ClientSession, kind: str, body: bytes, encoding: str
) -> None:
    headers = {"Content-Type": kind, "Connection": "close"}
    headers |= {"Content-Encoding": encoding} if encoding else {}
    for path in ("/auth/login", "/auth/register", "/auth/reset_password_request"):
        status, answer = await say(old_http, "POST", path, data=body, headers=headers)
        assert 400 <= status < 500
        assert answer["status"] == "fail"


async def test_one_connection_serves_them_all(stack: RunningStack) -> None:
    opened: list[str] = []
    trace = TraceConfig()

    async def note(*_: object) -> None:
        opened.append("connection")

    trace.on_connection_create_end.append(note)
    async with ClientSession(stack.gateway, trace_configs=[trace]) as http:
        for _ in range(5):
            await say(http, "GET", "/auth/status")
            async with http.get("/v1/time") as response:
                await response.read()
    assert len(opened) == 1


async def test_a_day_of_96_rows_at_its_end_fills_the_ledger_by_basic_and_by_digest(
    admin: Client, stack: RunningStack
) -> None:
    wearer = await new_wearer(admin, kind="phone")
    _, key_id, secret = wearer.device.key.split("_")
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(1)
    rows = day_of_samples(yesterday)
    names = list(rows[0])
    body = "\n".join([",".join(names), *(",".join(str(row[n]) for n in names) for row in rows)])
    query = {"device_id": wearer.device.id, "sent_at": datetime.now(UTC).isoformat()}
    digest = DigestAuthMiddleware(key_id, secret)
    async with ClientSession(stack.gateway, middlewares=(digest,)) as http:
        for _ in range(3):  # the second and third answer the same nonce, counting on
            async with http.post(
                "/v1/samples", params=query, data=body, headers={"Content-Type": "text/csv"}
            ) as response:
                assert response.status == 202
                assert (await response.json())["accepted"] == 96
    assert len(await wait_for_rows(wearer, 96)) == 96
    auth = {"Authorization": f"Bearer {wearer.device.key}"}
    async with ClientSession(stack.gateway) as http:
        day = object_name(yesterday)
        csv = daily_csv("null", yesterday.replace(hour=23), 1)
        assert (await say(http, "PUT", f"/compat/s3/{day}", data=csv, headers=auth))[0] == 200
    assert sum(row["steps"] for row in await ledger_of(wearer)) == sum(row["steps"] for row in rows)


async def curl(stack: RunningStack, *arguments: str) -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("there is no curl on this machine")
    process = await asyncio.create_subprocess_exec(
        program, "--silent", "--show-error", "--max-time", "20", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("scheme", ["--basic", "--digest", "--anyauth"])
async def test_curl_puts_a_daily_csv(
    admin: Client, stack: RunningStack, tmp_path: Path, scheme: str
) -> None:
    wearer = await new_wearer(admin)
    today = datetime.now(UTC)
    path = tmp_path / object_name(today)
    path.write_text(daily_csv("null", today))
    _, key_id, secret = wearer.device.key.split("_")
    said = await curl(
        stack, scheme, "--user", f"{key_id}:{secret}", "--upload-file", str(path),
        f"{stack.gateway}/compat/s3/",
    )  # fmt: skip
    assert json.loads(said)["status"] == "success"
    wrong = await curl(
        stack, scheme, "--user", f"{key_id}:wrong", "--upload-file", str(path),
        f"{stack.gateway}/compat/s3/",
    )  # fmt: skip
    assert json.loads(wrong)["status"] == "fail"


async def test_curl_keeps_a_session_in_its_cookie_jar(
    stack: RunningStack, old_http: ClientSession, tmp_path: Path
) -> None:
    old = await new_old_client(stack, old_http)
    jar = str(tmp_path / "jar")
    form = ("-d", f"username={old.username}", "-d", f"password={PASSWORD}")
    said = await curl(stack, "--cookie-jar", jar, *form, f"{stack.gateway}/auth/login")
    assert json.loads(said)["user"]["uname"] == old.username
    both = (f"{stack.gateway}/auth/user_info", f"{stack.gateway}/auth/status")
    said = await curl(stack, "--verbose", "--cookie", jar, *both)
    assert said.count('"status":"success"') == 2
    assert "existing connection" in said


JAVA = Path(__file__).parents[1] / "contracts" / "OldClient.java"


async def test_a_jvm_client_goes_the_whole_way(
    stack: RunningStack, old_http: ClientSession
) -> None:
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java on this machine's PATH")
    probe = await asyncio.create_subprocess_exec(
        java, "--list-modules", stdout=asyncio.subprocess.PIPE
    )
    modules, _ = await probe.communicate()
    if not {b"jdk.compiler", b"java.net.http"} <= {m.split(b"@")[0] for m in modules.split()}:
        pytest.skip("this java runs no source files: it lacks jdk.compiler or java.net.http")
    old = await new_old_client(stack, old_http)
    process = await asyncio.create_subprocess_exec(
        java, "-XX:TieredStopAtLevel=1", str(JAVA), stack.gateway, old.username, PASSWORD,
        object_name(datetime.now(UTC)), daily_csv("%s", datetime.now(UTC)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert output.decode().split() == [
        "login", "201", "user_info", "200", "daily", "200", "status", "200", "cookie", "200",
        "logout", "200", "after", "401",
    ]  # fmt: skip
