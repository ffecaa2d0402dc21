"""Commands about access, files and the document, as an operator types them at a running system."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from fitstream.gateway.app import api_routes
from fitstream.gateway.openapi import text_of
from fitstream.repo.database import open_repo
from tests.conftest import RunningStack, clean_environ
from tests.oauth import send
from tests.real import at, eventually, last_monday, ledger_of, new_wearer, wait_for_rows

pytestmark = [pytest.mark.stack, pytest.mark.slow]  # each command starts a process


async def typed(*words: str, code: int = 0) -> str:
    """What `fitstream WORDS` prints; it has to end with `code`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fitstream", *words,
        env=clean_environ(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == code, (out + err).decode()
    return out.decode() + (err.decode() if code else "")


async def test_oauth_client_registers_one_that_gets_tokens(
    stack: RunningStack, http: ClientSession
) -> None:
    target = ("--data", str(stack.folder), "--name", "Nightly", "--scope", "models:read")
    words = (*target, "--grant", "client", "--confidential")
    made = json.loads(await typed("oauth-client", *words))
    assert made["grants"] == ["client_credentials"]
    secret = (made["id"], made["client_secret"])
    given = await send(http, "token", secret, grant_type="client_credentials")
    assert (given.status, given.body["scope"]) == (200, "models:read")
    assert "address to go back to" in await typed("oauth-client", *target, code=1)


async def test_audit_verify_holds_and_names_a_link_to_note_elsewhere(
    stack: RunningStack, admin: Client
) -> None:
    await new_wearer(admin)
    data = ("--data", str(stack.folder))
    assert "sealed" in await typed("audit", "seal", *data)
    found = json.loads(await typed("audit", "verify", "--json", *data))
    assert found["problems"] == []
    assert found["entries"] > 0
    assert "newest link" in await typed("audit", "verify", "--head", found["head"], *data)
    other = f"{found['head'].partition(':')[0]}:{'00' * 32}"
    told = await typed("audit", "verify", "--head", other, *data, code=1)
    assert "BROKEN the noted link" in told


async def test_rewrap_leaves_nothing_where_nothing_is_old(stack: RunningStack) -> None:
    done = json.loads(await typed("rewrap", "--data", str(stack.folder)))
    assert not done["left"]


async def test_upload_checks_a_file_brings_it_in_and_takes_it_back(
    stack: RunningStack, admin: Client, tmp_path: Path
) -> None:
    wearer = await new_wearer(admin)
    file = tmp_path / f"{uuid4().hex}.csv"
    rows = [f"{at(last_monday(), i)},{i}" for i in range(4)]
    file.write_text("\n".join(["slot,steps", *rows, f"{at(last_monday(), 5)},-1", ""]))
    data = ("--data", str(stack.folder))
    mine = (str(file), "--customer", wearer.customer.id, *data)
    checked = await typed("upload", *mine)
    assert "4 new" in checked
    assert "row 5: out_of_range" in checked
    assert await ledger_of(wearer) == []
    brought = await typed("upload", *mine, "--ingest")
    assert "4 rows are in the ledger" in brought
    await wait_for_rows(wearer, 4)
    undone = await typed("upload", "--undo", brought.split(":")[0], *data)
    assert "4 rows left the ledger" in undone
    assert await ledger_of(wearer) == []
    file.write_text("Zeit;Foo\n1;2\n")
    assert "name a mapping" in await typed("upload", *mine, code=1)


async def test_openapi_prints_the_document(tmp_path: Path) -> None:
    out = tmp_path / "openapi.json"
    assert await typed("openapi") == text_of(api_routes())
    assert not await typed("openapi", "--out", str(out))
    assert out.read_text() == text_of(api_routes())


async def test_replay_of_one_customer_and_some_days_brings_back_those_and_no_others(
    stack: RunningStack, admin: Client
) -> None:
    wearer, monday = await new_wearer(admin), last_monday(2)
    for day in range(3):
        await wearer.post([{"slot": at(monday, day * 96), "steps": 10 + day}])
    await wait_for_rows(wearer, 3)
    await eventually(lambda: is_archived(stack, wearer.customer.id), 60)
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        gone = "DELETE FROM sample s USING customer c WHERE c.id = $1"
        await db.execute(f"{gone} AND c.customer_no = s.customer_no", wearer.customer.id)
    days = ("--from", f"{monday + timedelta(days=1):%Y-%m-%d}", "--to")
    words = ("replay", "--data", str(stack.folder), "--from-archive")
    words = (*words, "--customer", wearer.customer.id)
    told = await typed(*words, *days, f"{monday + timedelta(days=2):%Y-%m-%d}")
    assert "1 new" in told
    assert [row["steps"] for row in await ledger_of(wearer)] == [11]
    assert "2 new" in await typed(*words)
    assert [row["steps"] for row in await ledger_of(wearer)] == [10, 11, 12]
    assert "--from lies behind --to" in await typed(*words, *days, "2020-01-01", code=1)


async def is_archived(stack: RunningStack, customer_id: str) -> bool:
    """Whether the archive has all posts of a customer: nothing new, as the ledger has them too."""
    words = ("replay", "--data", str(stack.folder), "--from-archive", "--customer", customer_id)
    return "3 records" in await typed(*words)
