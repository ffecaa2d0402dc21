"""Customers' pages of files without any script: sent, named, checked, brought in, taken back."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, FormData

from fitstream.client import Client
from tests.conftest import RunningStack
from tests.integration.test_pairing_pages import PASSWORD, TOKEN, Visitor
from tests.real import Wearer, last_monday, ledger_of, new_wearer, wait_for_rows

pytestmark = pytest.mark.stack
WAIT_S = 90.0
COLUMNS = {"to-0": "slot", "to-1": "distance_m", "unit-1": "km", "to-2": "heart_rate_bpm"}
READ = COLUMNS | {"format": "%d.%m.%Y %H:%M", "zone": "home", "decimal": ","}


@dataclass
class Sender:
    """A customer in front of the pages of files."""

    wearer: Wearer
    http: ClientSession
    visitor: Visitor

    async def send_file(self, name: str, text: str, **fields: str) -> str:
        """The address of the page of a file that was sent by the form."""
        found = TOKEN.search((await self.visitor.see("/uploads"))[1])
        assert found is not None
        form = FormData({"csrf": found[1], **fields})
        form.add_field("file", text.encode(), filename=name)
        async with self.http.post("/uploads", data=form) as answer:
            assert answer.status == 200, await answer.text()
            return answer.url.path

    async def wait_for(self, path: str, text: str) -> str:
        """The page once it says `text`; it is loaded again and again, as a person would."""
        deadline = time.monotonic() + WAIT_S
        while True:
            page = (await self.visitor.see(path))[1]
            if text in page:
                return page
            assert time.monotonic() < deadline, page
            await asyncio.sleep(0.2)


def clinic_rows() -> str:
    """Two rows of last week, the second with a pulse that nobody has."""
    day = f"{last_monday(1):%d.%m.%Y}"
    return f"Since;Km;Pulse\n{day} 08:15;0,4;71\n{day} 08:30;0,1;9\n"


@pytest.fixture
async def sender(stack: RunningStack, admin: Client) -> AsyncIterator[Sender]:
    wearer = await new_wearer(admin, zone="Europe/Berlin")
    email = f"{wearer.customer.id}@example.org"
    await admin.set_login(wearer.customer.id, email, PASSWORD)
    async with ClientSession(stack.pages, cookie_jar=CookieJar(unsafe=True)) as http:
        visitor = Visitor(http)
        assert (await visitor.send("/login", "/login", email=email, password=PASSWORD))[0] == 200
        yield Sender(wearer, http, visitor)


async def test_a_customer_names_the_columns_of_a_file_and_sees_what_it_would_change(
    sender: Sender,
) -> None:
    assert "No files yet" in (await sender.visitor.see("/uploads"))[1]
    home = await sender.send_file("clinic.csv", clinic_rows())
    await sender.wait_for(home, "Say what its columns are")
    form = f"{home}/mapping"
    assert "0,4 · 0,1" in (await sender.visitor.see(form))[1]

    status, page = await sender.visitor.send(form, form, **READ | {"to-1": "steps"})
    assert (status, "steps has no unit km" in page, "0,4 · 0,1" in page) == (422, True, True)
    assert re.search(r'<tr class="wrong"><th scope="row">Km', page)
    status, page = await sender.visitor.send(
        form, form, way="preview", **READ, **{"constant-to-0": "floors", "constant-value-0": "2"}
    )
    assert status == 200
    assert re.search(r'<td class="r">400\.0</td>.*<td class="r">2</td>', page)
    assert "Heart rate (bpm) must be at least 20." in page

    status, page = await sender.visitor.send(form, form, way="check", **READ)
    assert status == 200
    page = await sender.wait_for(home, "Bring in 1 row")
    assert "Nothing has reached your data yet" in page
    assert await ledger_of(sender.wearer) == []
    assert f'href="{home}"' in (await sender.visitor.see("/uploads?search=CLINIC"))[1]
    assert "No such files" in (await sender.visitor.see("/uploads?search=%25&state=checked"))[1]


@pytest.mark.slow
async def test_the_next_file_of_the_same_columns_begins_as_the_last_was_read(
    sender: Sender,
) -> None:
    home = await sender.send_file("clinic.csv", clinic_rows())
    await sender.wait_for(home, "Say what its columns are")
    await sender.visitor.send(f"{home}/mapping", f"{home}/mapping", way="check", **READ)
    again = await sender.send_file("clinic2.csv", clinic_rows().replace("0,4", "0,5"))
    await sender.wait_for(again, "Say what its columns are")
    page = (await sender.visitor.see(f"{again}/mapping"))[1]
    assert '<option value="distance_m" selected>' in page
    assert '<td class="r">500.0</td>' in page


@pytest.mark.slow
async def test_what_a_file_brought_is_taken_back_by_its_customer(sender: Sender) -> None:
    name = f"kept for {sender.wearer.customer.id}"
    columns = [
        {"column": "Since", "to": "slot"},
        {"column": "Km", "to": "distance_m", "unit": "km"},
    ]
    time_format = {"format": READ["format"], "zone": "home"}
    spec = {"columns": columns, "time": time_format, "decimal": ","}
    await sender.wearer.admin.uploads().save_mapping(name, spec)
    assert name in (await sender.visitor.see("/uploads"))[1]
    home = await sender.send_file("clinic.csv", clinic_rows(), mapping=name, priority="0")
    await sender.wait_for(home, "Bring in 2 rows")

    await sender.visitor.send(home, f"{home}/ingest")
    page = await sender.wait_for(home, "2 rows are in your data")
    rows = await wait_for_rows(sender.wearer, 2)
    assert [row["distance_m"] for row in rows] == [400, 100]
    assert "Take it back" in page
    status, page = await sender.visitor.send(home, f"{home}/ingest")
    assert (status, "It has moved on meanwhile" in page) == (200, True)

    await sender.visitor.send(home, f"{home}/undo")
    await sender.wait_for(home, "Taken back")
    assert await ledger_of(sender.wearer) == []
    status, page = await sender.visitor.send(home, f"{home}/remove")
    assert (status, "The file is removed" in page) == (200, True)


async def test_nobody_sees_or_touches_the_file_of_another(sender: Sender, tmp_path: Path) -> None:
    other = await new_wearer(sender.wearer.admin)
    path = tmp_path / "x.csv"
    path.write_text("slot,steps\n2026-11-16T08:15:00Z,1\n")
    theirs = await sender.wearer.admin.uploads(other.customer.id).send(path)
    home = f"/uploads/{theirs.id}"
    for page in (home, f"{home}/mapping"):
        assert (await sender.visitor.see(page))[0] == 404
    for way in ("ingest", "undo", "cancel", "again", "remove", "mapping", "source", "nothing"):
        status, _ = await sender.visitor.send("/uploads", f"{home}/{way}", mapping="x")
        assert status == 404, way


async def test_a_form_without_file_or_token_is_refused_with_a_sentence(sender: Sender) -> None:
    status, page = await sender.visitor.send("/uploads", "/uploads")
    assert (status, "Choose a file" in page) == (422, True)
    form = FormData({"csrf": "wrong"})
    form.add_field("file", b"slot,steps\n", filename="x.csv")
    async with sender.http.post("/uploads", data=form) as answer:
        assert answer.status == 403
    assert "No files yet" in (await sender.visitor.see("/uploads"))[1]
