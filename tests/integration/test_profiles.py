"""Profiles, pictures and lists of customers against the running system."""

import asyncio
from datetime import date
from io import BytesIO
from uuid import uuid4

import aiohttp
import pytest
from PIL import Image

from fitstream.client import Client
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.repo import people
from fitstream.repo.database import open_repo
from fitstream.store import open_store
from tests.conftest import RunningStack
from tests.mails import mail_to
from tests.real import new_wearer

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"


async def person(admin: Client) -> tuple[str, Client]:
    """A customer's id and their own client."""
    customer = (await new_wearer(admin)).customer.id
    await admin.set_login(customer, f"{customer}@example.org", PASSWORD)
    session = await admin.as_who("").login(f"{customer}@example.org", PASSWORD)
    return customer, admin.as_who(session.token)


def png(color: str = "red") -> bytes:
    out = BytesIO()
    Image.new("RGB", (800, 400), color).save(out, "PNG")
    return out.getvalue()


async def test_a_customer_keeps_their_own_profile(admin: Client) -> None:
    customer, me = await person(admin)
    about = {"name": "Ada", "birth_date": "1985-12-10", "sex": "female", "height_cm": 168.5}
    await me.replace_profile(customer, "Europe/Paris", **about)
    found = await me.profile(customer)
    assert (found.name, found.birth_date, found.sex) == ("Ada", date(1985, 12, 10), "female")
    assert (found.height_cm, found.weight_kg, found.zone) == (168.5, None, "Europe/Paris")
    await me.replace_profile(customer, "Europe/Paris")
    assert (await me.profile(customer)).birth_date is None
    with pytest.raises(NotFound):
        await me.profile((await new_wearer(admin)).customer.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height_cm": 20},
        {"weight_kg": 1e9},
        {"sex": "unknown"},
        {"birth_date": "1700-01-01"},
        {"birth_date": "2999-01-01"},
        {"birth_date": "yesterday"},
        {"name": "x" * 257},
        {"name": "a\0b"},
        {"picture_key": "raw/"},
        {"zone": "Mars/Base"},
    ],
    ids=lambda fields: f"{next(iter(fields))}",
)
async def test_what_cannot_be_of_a_person_is_refused(
    admin: Client, wrong: dict[str, object]
) -> None:
    customer = (await new_wearer(admin)).customer.id
    with pytest.raises(Rejected) as error:
        await admin.replace_profile(customer, **{"zone": "UTC", **wrong})  # type: ignore[arg-type]
    assert error.value.status in (400, 422)


async def test_a_picture_is_stored_anew_in_the_customers_folder_and_goes_with_the_next(
    admin: Client, stack: RunningStack
) -> None:
    customer, me = await person(admin)
    with pytest.raises(NotFound):
        await me.picture(customer)
    async with open_store(stack.settings) as store:

        async def stored() -> list[str]:
            return [key async for key in store.list_keys(f"users/{customer}/profile/")]

        for color in ("red", "blue"):
            await me.replace_picture(customer, png(color), "image/png")
            assert len(await stored()) == 1
        with Image.open(BytesIO(await me.picture(customer))) as shown:
            assert (shown.format, shown.size) == ("JPEG", (512, 256))
        assert (await admin.profile(customer)).has_picture
        await me.remove_picture(customer)
        await me.remove_picture(customer)
        assert await stored() == []


async def test_two_pictures_at_once_leave_one_and_nothing_behind(
    admin: Client, stack: RunningStack
) -> None:
    customer, me = await person(admin)
    await me.replace_picture(customer, png("white"), "image/png")
    async with open_repo(stack.settings) as repo:
        number = "SELECT customer_no FROM customer WHERE id = $1"
        async with repo.transaction() as db:
            first = await people.set_picture(db, await db.fetchval(number, customer), "first")
            second = asyncio.create_task(me.replace_picture(customer, png("blue"), "image/png"))
            await asyncio.wait({second}, timeout=0.5)
            assert not second.done()
        await second
    async with open_store(stack.settings) as store:
        await store.delete(str(first))
        await asyncio.gather(
            *(me.replace_picture(customer, png(color), "image/png") for color in ["red"] * 4)
        )
        keys = [key async for key in store.list_keys(f"users/{customer}/profile/")]
    assert len(keys) == 1
    assert len(await me.picture(customer)) > 0


async def test_a_picture_is_sent_so_that_nothing_keeps_or_runs_it(
    admin: Client, stack: RunningStack
) -> None:
    customer, me = await person(admin)
    await me.replace_picture(customer, png(), "image/png")
    address = f"{stack.gateway}/v1/customers/{customer}/picture"
    key = {"Authorization": f"Bearer {stack.admin_key}"}
    async with aiohttp.ClientSession() as session, session.get(address, headers=key) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"hello", "image/png", 422),
        (png(), "text/plain", 415),
        (b"x" * (5 * 1024 * 1024 + 1), "image/png", 413),
    ],
    ids=["text", "type", "large"],
)
async def test_what_is_no_picture_is_refused(
    admin: Client, body: bytes, kind: str, status: int
) -> None:
    customer, me = await person(admin)
    with pytest.raises(Rejected) as error:
        await me.replace_picture(customer, body, kind)
    assert error.value.status == status


async def test_a_list_is_looked_at_and_then_taken_in_once(
    admin: Client, stack: RunningStack
) -> None:
    mark = uuid4().hex[:8]
    table = (
        "external_id,email,name,zone,consents\n"
        f"{mark}-1,{mark}-1@example.org,Ada,Europe/Berlin,training\n"
        f"{mark}-2,,Grace,,\n"
        f"{mark}-3,no mail,,,\n"
    ).encode()
    seen = await admin.import_customers(table, dry_run="1", zone="Asia/Tokyo")
    assert (seen.is_dry_run, seen.new, seen.exists, seen.wrong) == (True, 2, 0, 1)
    assert (await admin.customers(mark)).items == []
    made = await admin.import_customers(table, invite="1", zone="Asia/Tokyo")
    assert (made.new, made.exists, made.wrong, made.invited) == (2, 0, 1, 1)
    first, second = sorted((await admin.customers(mark)).items, key=lambda c: c.external_id or "")
    assert (first.zone, first.consents["training"], second.zone) == (
        "Europe/Berlin", True, "Asia/Tokyo",
    )  # fmt: skip
    await mail_to(stack.folder, f"{mark}-1@example.org", "Your access to")
    again = await admin.import_customers(table, invite="1")
    assert (again.new, again.exists, again.wrong, again.invited) == (0, 2, 1, 0)


async def test_an_export_holds_everybody_and_computes_nothing(admin: Client) -> None:
    mark = uuid4().hex[:8]
    await admin.create_customer("UTC", external_id=mark, name='=HYPERLINK("http://x")')
    lines = (await admin.export_customers()).decode().splitlines()
    assert lines[0].startswith("id,external_id,email,name,")
    (line,) = [line for line in lines if mark in line]
    assert "'=HYPERLINK" in line


async def test_a_deactivated_customer_is_out_at_once_and_back_when_activated(
    admin: Client,
) -> None:
    customer, me = await person(admin)
    await admin.change_customer(customer, deactivated=True)
    with pytest.raises(Rejected):
        await me.me()
    with pytest.raises(Rejected):
        await admin.as_who("").login(f"{customer}@example.org", PASSWORD)
    with pytest.raises(Conflict):
        await admin.invite(customer)
    await admin.change_customer(customer, deactivated=False)
    await admin.as_who("").login(f"{customer}@example.org", PASSWORD)
