"""Dead letters over the API of the running system: read, replayed, discarded, never deleted."""

import asyncio
import base64
import random
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from fitstream import events
from fitstream.client import Client
from fitstream.clock import slot_of
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.events import SampleBatch, SampleColumns
from fitstream.ids import new_id
from fitstream.repo import progress
from fitstream.repo.database import Repo, open_repo
from tests.conftest import RunningStack
from tests.real import Wearer, at, last_monday, ledger_of, new_wearer, wait_for_rows

pytestmark = pytest.mark.stack
MONDAY = last_monday(2)
FIRST = slot_of(MONDAY)


@pytest.fixture
async def rows(stack: RunningStack) -> AsyncIterator[Repo]:
    """The running system's own database."""
    async with open_repo(stack.settings) as opened:
        yield opened


def batch(customer_id: str, device_id: str, steps: int = 7) -> SampleBatch:
    return SampleBatch(
        batch_id=new_id("b"),
        customer_id=customer_id,
        device_id=device_id,
        received_at=int(datetime.now(UTC).timestamp() * 1000),
        columns=SampleColumns(slot=[FIRST, FIRST + 1], steps=[steps, 0]),
    )


async def park(repo: Repo, value: bytes, reason: str) -> str:
    """Parks bytes as a consumer would; the id of what lies there now."""
    place = (new_id("topic"), 1, 0, random.randrange(2**40))
    async with repo.transaction() as db:
        await progress.insert_dead_letter(db, (*place, reason, "at first", b"cus_x", value))
        return str(await db.fetchval("SELECT max(id) FROM dead_letter WHERE topic = $1", place[0]))


async def count(repo: Repo) -> int:
    async with repo.connection() as db:
        return int(await db.fetchval("SELECT count(*) FROM dead_letter"))


async def test_a_list_filters_counts_by_reason_and_goes_on_after_a_page(
    admin: Client, rows: Repo
) -> None:
    reason = "no_key"
    before = {
        each.reason: each.count for each in (await admin.dead_letters(state="parked")).reasons
    }
    ids = [await park(rows, b"x", reason) for _ in range(3)]
    page = await admin.dead_letters(reason=reason, state="parked", limit="2")
    assert [item.id for item in page.items] == ids[:0:-1]
    assert {each.reason: each.count for each in page.reasons}[reason] == 3 + before.get(reason, 0)
    rest = await admin.dead_letters(reason=reason, limit="2", after=page.next or "")
    assert rest.items[0].id == ids[0]
    assert page.items[0].value == ""
    assert (await admin.dead_letters(reason=reason, state="replayed")).items == []


async def test_one_shows_its_bytes_and_what_they_say(admin: Client, rows: Repo) -> None:
    sent = batch("cus_nobody", "dev_nobody")
    value = events.encode(sent)
    found = await admin.dead_letter(await park(rows, value, "unknown_device"))
    assert base64.b64decode(found.value) == value
    assert (found.size, found.key, found.detail) == (len(value), "cus_x", "at first")
    assert found.decoded is not None
    assert found.decoded["batch_id"] == sent.batch_id
    assert found.decoded["samples"][0]["steps"] == 7


@pytest.mark.parametrize("value", [b"", b"\xc1 no msgpack", b"\x80"])
async def test_what_cannot_be_read_says_so_and_stays_parked(
    admin: Client, rows: Repo, value: bytes
) -> None:
    letter = await park(rows, value, "no_key")
    before = await count(rows)
    with pytest.raises(Rejected) as error:
        await admin.settle_letter(letter, "replay")
    assert (error.value.status, error.value.code) == (422, "undecodable")
    found = await admin.dead_letter(letter)
    assert (found.state, found.reason, found.decoded) == ("parked", "undecodable", None)
    assert found.detail != "at first"
    assert await count(rows) == before


async def test_a_record_of_an_unknown_device_is_applied_once_the_device_exists(
    admin: Client, rows: Repo
) -> None:
    wearer = await new_wearer(admin)
    device_id = new_id("dev")
    letter = await park(rows, events.encode(batch(wearer.customer.id, device_id)), "unwritable")
    with pytest.raises(Rejected) as error:
        await admin.settle_letter(letter, "replay")
    assert error.value.code == "unknown_device"
    assert (await admin.dead_letter(letter)).reason == "unknown_device"
    async with rows.transaction() as db:
        await db.execute("UPDATE device SET id = $1 WHERE id = $2", device_id, wearer.device.id)
    assert (await admin.settle_letter(letter, "replay")).state == "replayed"
    assert [row["steps"] for row in await ledger_of(wearer)] == [7, 0]
    with pytest.raises(Conflict) as late:
        await admin.settle_letter(letter, "replay")
    assert late.value.code == "not_parked"


async def test_of_many_who_settle_one_at_once_exactly_one_does(admin: Client, rows: Repo) -> None:
    wearer = await new_wearer(admin)
    value = events.encode(batch(wearer.customer.id, wearer.device.id))
    letter = await park(rows, value, "unwritable")
    found = await asyncio.gather(
        *(admin.settle_letter(letter, how) for how in ("replay", "discard") * 4),
        return_exceptions=True,
    )
    (done,) = [one for one in found if not isinstance(one, BaseException)]
    late = [one for one in found if isinstance(one, BaseException)]
    assert {getattr(one, "code", one) for one in late} == {"not_parked"}
    assert (await admin.dead_letter(letter)).state == done.state
    entries = (await admin.audit(action=f"dead_letter.{done.state}")).items
    assert [entry.subject for entry in entries].count(f"dead_letter:{letter}") == 1
    other = {"replayed": "discarded", "discarded": "replayed"}[done.state]
    entries = (await admin.audit(action=f"dead_letter.{other}")).items
    assert f"dead_letter:{letter}" not in [entry.subject for entry in entries]
    assert len(await ledger_of(wearer)) == (2 if done.state == "replayed" else 0)


async def test_what_came_since_is_not_undone_by_a_replay(admin: Client, rows: Repo) -> None:
    wearer = await new_wearer(admin)
    await wearer.post([{"slot": at(MONDAY, 0), "steps": 99, "rev": 3}])
    await _until(wearer, [99])
    before = await _progress(rows)
    for _ in range(2):
        value = events.encode(batch(wearer.customer.id, wearer.device.id))
        letter = await park(rows, value, "unwritable")
        await admin.settle_letter(letter, "replay")
        assert [row["steps"] for row in await ledger_of(wearer)] == [99, 0]
    assert await _progress(rows) == before


async def test_a_row_that_no_table_can_hold_stays_parked(admin: Client, rows: Repo) -> None:
    wearer = await new_wearer(admin)
    one = batch(wearer.customer.id, wearer.device.id, steps=2**40)
    letter = await park(rows, events.encode(one), "unwritable")
    with pytest.raises(Rejected) as error:
        await admin.settle_letter(letter, "replay")
    assert error.value.status == 422
    assert (await admin.dead_letter(letter)).state == "parked"
    assert await ledger_of(wearer) == []


async def test_a_discarded_one_is_kept_and_cannot_be_replayed(admin: Client, rows: Repo) -> None:
    letter = await park(rows, b"x", "undecodable")
    assert (await admin.dead_letter(letter)).settled_at is None
    settled = await admin.settle_letter(letter, "discard")
    assert settled.state == "discarded"
    assert settled.settled_at is not None
    async with rows.connection() as db:  # the account that the administrator's key belongs to
        assert await db.fetchval("SELECT 1 FROM account WHERE id = $1", settled.settled_by)
    for way in ("replay", "discard"):
        with pytest.raises(Conflict):
            await admin.settle_letter(letter, way)  # type: ignore[arg-type]
    assert base64.b64decode((await admin.dead_letter(letter)).value) == b"x"


async def test_one_that_is_not_there_is_404(admin: Client) -> None:
    for letter in ("0", "nothing", "99999999999999999999"):
        with pytest.raises(NotFound):
            await admin.dead_letter(letter)


async def test_a_device_may_not_look(admin: Client) -> None:
    wearer = await new_wearer(admin)
    with pytest.raises(Rejected) as error:
        await wearer.phone.dead_letters()
    assert error.value.status == 403


async def _progress(repo: Repo) -> int:
    """How many records the ledger has read."""
    async with repo.connection() as db:
        return int(await db.fetchval("SELECT sum(records) FROM ingest_progress"))


async def _until(wearer: Wearer, steps: list[int]) -> None:
    found = await wait_for_rows(wearer, len(steps))
    assert [row["steps"] for row in found] == steps


async def test_the_command_lists_replays_and_discards(
    stack: RunningStack, admin: Client, rows: Repo
) -> None:
    wearer = await new_wearer(admin)
    reason = f"odd_{random.randrange(2**40)}"
    good = await park(rows, events.encode(batch(wearer.customer.id, wearer.device.id)), reason)
    bad = await park(rows, b"x", reason)
    assert reason in await _command(stack, 0, "--reason", reason)
    told = await _command(stack, 1, "--reason", reason, "--replay", "all")
    assert "1 replayed, 1 stay parked" in told
    assert (await admin.dead_letter(good)).state == "replayed"
    assert "discarded" in await _command(stack, 0, "--discard", bad)
    assert bad in await _command(stack, 0, "--state", "discarded")
    assert "discarded already" in await _command(stack, 1, "--replay", bad)


async def _command(stack: RunningStack, expected: int, *arguments: str) -> str:
    """What `fitstream dead-letters` says; its exit code must be `expected`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fitstream", "dead-letters", "--data", str(stack.folder)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == expected, said
    return said.decode()
