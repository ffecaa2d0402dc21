"""Uploads against the running system: dry run, ingestion, undo, and what hostile files do."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fitstream.client import Client
from fitstream.client.http import Api
from fitstream.client.uploads import Upload, Uploads
from fitstream.errors import Conflict, NotFound, Rejected
from tests.conftest import RunningStack
from tests.factories import post_csv
from tests.real import (
    Wearer,
    at,
    day_of_samples,
    eventually,
    last_monday,
    ledger_of,
    new_wearer,
    wait_for_rows,
    wait_for_version,
)

pytestmark = pytest.mark.stack
WAIT_S = 60


@pytest.fixture
async def uploads(admin: Client) -> Uploads:
    """The administrator's calls about uploads."""
    return Uploads(api_of(admin))


def api_of(client: Client) -> Api:
    return client._api


def own(wearer: Wearer) -> Uploads:
    return Uploads(api_of(wearer.admin), wearer.customer.id)


async def settled(uploads: Uploads, upload: Upload) -> Upload:
    async with asyncio.timeout(WAIT_S):
        return await uploads.wait(upload.id, 0.1)


async def checked(uploads: Uploads, path: Path, **query: str) -> Upload:
    found = await settled(uploads, await uploads.send(path, **query))
    assert found.state == "checked", (found.error, found.problem, found.suggestion)
    return found


async def ingested(uploads: Uploads, upload: Upload) -> Upload:
    await uploads.ingest(upload.id)
    found = await settled(uploads, upload)
    assert found.state == "ingested", found.error

    async def is_read() -> bool:
        sent = (await uploads.get(upload.id)).sent
        return sent is not None and sent.is_in_ledger

    await eventually(is_read)
    return await uploads.get(upload.id)


async def undone(uploads: Uploads, upload: Upload) -> Upload:
    await uploads.undo(upload.id)
    found = await settled(uploads, upload)
    assert found.state == "undone", found.error
    return found


def a_file(folder: Path, rows: list[dict[str, Any]], name: str = "day.csv") -> Path:
    path = folder / name
    path.write_bytes(post_csv(rows))
    return path


def values_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what tells who sent them and when."""
    return [
        {name: value for name, value in row.items() if name not in ("device_id", "received_at")}
        for row in rows
    ]


async def test_a_day_is_checked_comes_in_and_goes_again(admin: Client, tmp_path: Path) -> None:
    wearer = await new_wearer(admin)
    start = last_monday(1)
    rows = day_of_samples(start)
    await wearer.post(rows[:10])
    await wait_for_rows(wearer, 10)
    changed = [*rows[:5], *({**row, "steps": 999} for row in rows[5:10]), *rows[10:]]
    changed.append({"slot": at(start, 97), "steps": 7000})
    uploads = own(wearer)
    upload = await checked(uploads, a_file(tmp_path, changed), priority="1")
    assert upload.report is not None
    assert upload.report.outcomes == {"new": 86, "same": 5, "supersedes": 5, "rejected": 1}
    assert upload.report.codes == {"out_of_range": 1}
    assert len(await ledger_of(wearer)) == 10

    superseded = (await uploads.rows(upload.id, outcome="supersedes")).items
    assert [row.index for row in superseded] == [5, 6, 7, 8, 9]
    assert superseded[0].changes["steps"] == (rows[5]["steps"], 999)

    upload = await ingested(uploads, upload)
    assert upload.sent is not None
    assert (upload.sent.accepted, upload.sent.refused) == (96, 1)
    assert len(await ledger_of(wearer)) == 106
    combined = await admin.samples(wearer.customer.id, combined="1", limit="500")
    assert combined.items[7]["steps"] == 999

    upload = await undone(uploads, upload)
    assert upload.removed == 96
    assert len(await ledger_of(wearer)) == 10
    combined = await admin.samples(wearer.customer.id, combined="1", limit="500")
    assert combined.items[7]["steps"] == rows[7]["steps"]
