"""Receipts of the running system: signed on request, and compared with what is stored."""

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import ClientSession
from msgspec.json import encode
from msgspec.structs import replace

from fitstream.broker import make_topics
from fitstream.client import Client
from fitstream.client.data import Receipt
from fitstream.clock import slot_of
from fitstream.consumers.archive import ArchiveEffect
from fitstream.consumers.loop import Span
from fitstream.consumers.stream import Stream
from fitstream.errors import Rejected
from fitstream.events import SampleBatch, SampleColumns, decode, encode_columns
from fitstream.events import encode as encode_batch
from fitstream.ids import new_id
from fitstream.operations.applied import was_erased
from fitstream.operations.receipts import verify_receipts
from fitstream.operations.records import Vault
from fitstream.receipts import PublicKey, Signer, public_key, verify
from fitstream.repo import customers, erased, progress
from fitstream.repo.database import open_repo
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import open_store
from tests.conftest import RunningStack
from tests.factories import record
from tests.real import (
    Wearer,
    at,
    day_of_samples,
    eventually,
    last_monday,
    ledger_of,
    new_wearer,
    wait_for_rows,
)

pytestmark = pytest.mark.stack
_AS_UNDONE_UPLOAD = """
WITH made AS (
    INSERT INTO upload (id, programme_no, name, format, size, sha256, object_key, priority, phase)
    SELECT $2, c.programme_no, 'a.csv', 'csv', 1, '', '', 1, 'undone'
    FROM customer c JOIN device d USING (customer_no) WHERE d.id = $1
    RETURNING upload_no
)
UPDATE device SET upload_no = made.upload_no FROM made WHERE device.id = $1
"""


async def published(admin: Client) -> list[PublicKey]:
    """The published keys, whose ids must be those that their bytes give."""
    keys = [public_key(_raw(jwk["x"])) for jwk in await admin.receipt_keys()]
    assert [jwk["kid"] for jwk in await admin.receipt_keys()] == [key.kid for key in keys]
    return keys


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


async def test_a_signed_receipt_verifies_with_the_published_key(admin: Client) -> None:
    wearer = await new_wearer(admin)
    samples = day_of_samples(last_monday())[:4]
    receipt = await wearer.phone.post_samples(wearer.envelope(samples), signed=True)
    assert receipt.receipt_jws is not None
    signed = json.loads(verify(receipt.receipt_jws, await published(admin)))
    assert signed["batch_id"] == receipt.batch_id
    assert signed["content_sha"] == receipt.content_sha
    assert signed["accepted"] == 4
    assert "receipt_jws" not in signed


async def test_a_receipt_is_signed_only_on_request(admin: Client, http: ClientSession) -> None:
    wearer = await new_wearer(admin)
    body = wearer.envelope(day_of_samples(last_monday())[:1])
    head = {"Authorization": f"Bearer {wearer.device.key}"}
    async with http.post("/v1/samples", json=body, headers=head) as plain:
        assert "receipt_jws" not in await plain.json()
    asked = head | {"Prefer": "respond-async, Signed-Receipt; x=1"}
    async with http.post("/v1/samples", json=body, headers=asked) as signed:
        assert signed.headers["Preference-Applied"] == "signed-receipt"
        answer = await signed.json()
    payload = json.loads(verify(answer.pop("receipt_jws"), await published(admin)))
    assert payload == answer


async def test_published_keys_can_be_cached(http: ClientSession) -> None:
    async with http.get("/.well-known/fitstream-keys") as first:
        assert first.status == 200
        assert "max-age" in first.headers["Cache-Control"]
        assert first.content_type == "application/jwk-set+json"
        etag = first.headers["ETag"]
    async with http.get("/.well-known/fitstream-keys", headers={"If-None-Match": etag}) as again:
        assert again.status == 304
        assert await again.read() == b""


async def posted(wearer: Wearer, count: int = 4, signed: bool = True) -> Receipt:
    """The receipt of a post that the ledger has read."""
    samples = day_of_samples(last_monday())[:count]
    receipt = await wearer.phone.post_samples(wearer.envelope(samples), signed=signed)
    await wait_for_rows(wearer, count)
    return receipt


def file_of(folder: Path, *lines: bytes | str) -> Path:
    """A file of these lines."""
    path = folder / "receipts"
    path.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return path


async def test_receipts_of_what_is_stored_are_clean(
    stack: RunningStack, admin: Client, tmp_path: Path
) -> None:
    one, two = await new_wearer(admin), await new_wearer(admin)
    signed, plain = await posted(one), await posted(two, signed=False)
    await one.post([{"slot": at(last_monday(), 0), "steps": 9, "rev": 1}])

    async def is_corrected() -> bool:
        return (await ledger_of(one))[0]["rev"] == 1

    await eventually(is_corrected)
    path = file_of(
        tmp_path, encode(signed), str(signed.receipt_jws), b"", encode(plain), encode(plain)
    )
    report = await verify_receipts(stack.settings, path)
    assert report.is_clean, report.lines()
    assert (report.signed, report.unsigned, report.in_kafka) == (2, 2, 4)
    assert report.samples["current"] == 14
    assert report.samples["superseded"] == 2


async def test_forged_receipts_are_found(
    stack: RunningStack, admin: Client, tmp_path: Path
) -> None:
    receipt = await posted(await new_wearer(admin))
    changed = replace(receipt, accepted=5)
    unsigned = replace(receipt, receipt_jws=None)
    jws = str(receipt.receipt_jws)
    stranger = Signer([b"x" * 32]).sign(encode(unsigned)).decode()
    beyond = replace(unsigned, offset=receipt.offset + 100_000)
    lines = [
        encode(changed),
        encode(replace(unsigned, content_sha="0" * 64)),
        encode(replace(unsigned, batch_id="0" * 24)),
        encode(replace(unsigned, accepted=3)),
        jws[:-4] + "AAAA",
        stranger,
        encode(beyond),
        b'{"batch_id": 1}',
        b"\xff\xfe",
    ]
    report = await verify_receipts(stack.settings, file_of(tmp_path, *lines))
    assert not report.is_clean
    assert report.differences == len(lines), report.lines()
    told = "\n".join(report.lines())
    for what in (
        "line 1: says something else", "content_sha", "the record there is batch",
        "the receipt 3", "bad_signature", "unknown_key", "neither Kafka", "not a receipt",
    ):  # fmt: skip
        assert what in told


async def test_a_row_that_is_gone_from_the_ledger_is_found(
    stack: RunningStack, admin: Client, tmp_path: Path
) -> None:
    wearer = await new_wearer(admin)
    receipt = await posted(wearer)
    gone = slot_of(last_monday()) + 2
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        customer = await customers.get_customer(db, wearer.customer.id)
        await db.execute(
            "DELETE FROM sample WHERE customer_no = $1 AND slot = $2", customer.customer_no, gone
        )
    report = await verify_receipts(stack.settings, file_of(tmp_path, encode(receipt)))
    assert report.samples["missing"] == 1
    assert f"1 of 4 samples are not in the ledger: {at(last_monday(), 2)}" in report.lines()[3]


@pytest.mark.parametrize(
    ("state", "called"), [("parked", "parked"), ("discarded", "parked"), ("replayed", "missing")]
)
async def test_a_dead_letter_excuses_a_row_only_until_it_was_replayed(
    stack: RunningStack, admin: Client, tmp_path: Path, state: str, called: str
) -> None:
    wearer = await new_wearer(admin)
    receipt = await posted(wearer)
    place = (stack.settings.topic, receipt.generation, receipt.partition, receipt.offset)
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        customer = await customers.get_customer(db, wearer.customer.id)
        await db.execute("DELETE FROM sample WHERE customer_no = $1", customer.customer_no)
        await progress.insert_dead_letter(db, (*place, "unwritable", "once", b"k", b"v"))
        where = "topic = $1 AND generation = $2 AND partition = $3 AND record_offset = $4"
        await db.execute(f"UPDATE dead_letter SET state = '{state}' WHERE {where}", *place)
    report = await verify_receipts(stack.settings, file_of(tmp_path, encode(receipt)))
    assert report.samples[called] == 4
    assert report.is_clean == (called == "parked")


async def test_what_was_erased_on_request_is_no_difference(
    stack: RunningStack, admin: Client, tmp_path: Path
) -> None:
    wearer, other = await new_wearer(admin), await new_wearer(admin)
    receipts = [await posted(wearer), await posted(other)]
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        for each in (wearer, other):
            customer = await customers.get_customer(db, each.customer.id)
            gone = "DELETE FROM sample WHERE customer_no = $1"
            await db.execute(gone, customer.customer_no)
        await erased.remember(db, [receipts[0].device_id])
    path = file_of(tmp_path, *map(encode, receipts))
    report = await verify_receipts(stack.settings, path)
    assert (report.samples["erased"], report.samples["missing"], report.differences) == (4, 4, 1)


async def test_rows_of_an_upload_that_was_undone_count_as_erased(
    stack: RunningStack, admin: Client
) -> None:
    wearer = await new_wearer(admin)
    await posted(wearer)
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        assert not await was_erased(db, wearer.device.id)
        await db.execute(_AS_UNDONE_UPLOAD, wearer.device.id, new_id("upl"))
        assert await was_erased(db, wearer.customer.id, wearer.device.id)


async def test_the_archive_answers_where_kafka_no_longer_can(
    stack: RunningStack, admin: Client, tmp_path: Path
) -> None:
    receipt = await posted(await new_wearer(admin))
    place = (stack.settings.topic, receipt.generation, receipt.partition)
    async with open_store(stack.settings) as store:
        keys = DataKeys(store, master_keys(stack.settings))

        async def is_archived() -> bool:
            found = [found async for found in Vault(store, keys).find(place, [receipt.offset])]
            return bool(found)

        await eventually(is_archived)
        found = [each async for each in Vault(store, keys).find(place, [receipt.offset])]
        other = DataKeys(store, [b"x" * 32])
        closed = [each async for each in Vault(store, other).find(place, [receipt.offset])]
    assert [(each.offset, each.where) for each in found] == [(receipt.offset, "archive")]
    assert found[0].value is not None
    assert decode(found[0].value).batch_id == receipt.batch_id
    assert [each.value for each in closed] == [None]


async def test_a_file_that_is_not_there_is_said_so(stack: RunningStack, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="cannot be read"):
        await verify_receipts(stack.settings, tmp_path / "none")


async def test_a_receipt_is_proven_from_the_archive_when_kafka_has_let_go(
    services: Settings, tmp_path: Path
) -> None:
    names = {"topic": new_id("topic"), "dead_topic": new_id("dead")}
    settings = replace(services, **names, topic_partitions=1)
    await make_topics(settings)
    batch = SampleBatch(
        batch_id="b", customer_id=new_id("cus"), device_id=new_id("dev"), received_at=1,
        columns=SampleColumns(slot=[1, 2], steps=[3, None]),
    )  # fmt: skip
    key = batch.customer_id.encode()
    old = record(7, topic=settings.topic, key=key)._replace(value=encode_batch(batch))
    async with open_store(settings) as store:
        keys = DataKeys(store, master_keys(settings))
        effect = ArchiveEffect(None, (store, keys), None, Stream(None, settings.topic, 1))  # type: ignore[arg-type]
        await effect.write(0, Span(7, 8, "b"), [(old, batch.customer_id)])
    said = {
        "batch_id": "b",
        "device_id": batch.device_id,
        "generation": 1,
        "partition": 0,
        "offset": 7,
        "accepted": 2,
        "content_sha": sha256(encode_columns(batch.columns)).hexdigest(),
    }
    report = await verify_receipts(settings, file_of(tmp_path, encode(said)))
    assert report.is_clean, report.lines()
    assert (report.in_kafka, report.in_archive, report.samples["waiting"]) == (0, 1, 2)
    async with open_repo(settings) as repo, repo.transaction() as db:
        await progress.adopt_generation(db, settings.topic, 2)
    report = await verify_receipts(settings, file_of(tmp_path, encode(said)))
    assert report.samples["missing"] == 2  # nobody reads that generation any more
    # A gateway that had not heard of the generation gave this receipt: it is the same record.
    late = file_of(tmp_path, encode(said | {"generation": 0}))
    report = await verify_receipts(settings, late)
    assert (report.in_archive, report.samples["missing"]) == (1, 2)
    async with open_store(settings) as store:
        await store.delete(f"keys/{batch.customer_id}")
    closed = await verify_receipts(settings, file_of(tmp_path, encode(said)))
    assert "opens with no key" in closed.shown[0]
    async with open_repo(settings) as repo, repo.transaction() as db:
        await erased.remember(db, [batch.customer_id])
    report = await verify_receipts(settings, file_of(tmp_path, encode(said)))
    assert report.is_clean, report.lines()
    assert report.samples["erased"] == 2
    async with open_store(settings) as store:
        assert not await store.exists(f"keys/{batch.customer_id}")
