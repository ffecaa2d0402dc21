"""The archive on real S3: every record as it came, the same object for the same records."""

from functools import partial

import msgspec
import pytest

from fitstream.consumers.archive import ArchiveEffect, archive_key, decode_archive
from fitstream.consumers.loop import Span
from fitstream.consumers.run_archive import is_erased
from fitstream.consumers.stream import Stream
from fitstream.errors import Halted
from fitstream.ids import new_id
from fitstream.repo import erased
from fitstream.repo.database import Repo
from fitstream.sealing import DataKeys, master_keys, unseal
from fitstream.settings import Settings
from fitstream.store import open_store
from tests.factories import record

pytestmark = pytest.mark.stack


async def test_records_open_with_their_customers_key_and_a_repeat_is_the_same_object(
    services: Settings,
) -> None:
    topic, customer = new_id("topic"), new_id("cus")
    records = [record(i, topic=topic, key=customer.encode()) for i in range(3)]
    items = [(each, customer) for each in records]
    async with open_store(services) as store:
        keys = DataKeys(store, master_keys(services))
        effect = ArchiveEffect(None, (store, keys), None, Stream(None, topic, 1))  # type: ignore[arg-type]
        await effect.write(0, Span(0, 3, "b"), items)
        await effect.write(0, Span(0, 3, "b"), items)
        found = decode_archive(await store.get(archive_key(topic, 1, 0, (0, 2))))
        key = await keys.key_for(customer)
        opened = [unseal(key, (1, 0, each.offset), each.sealed) for each in found]
    assert opened == [each.value for each in records]
    assert [each.customer_id for each in found] == [customer] * 3


async def test_other_records_under_one_name_halt_the_archive(services: Settings) -> None:
    topic, customer = new_id("topic"), new_id("cus")
    async with open_store(services) as store:
        keys = DataKeys(store, master_keys(services))
        effect = ArchiveEffect(None, (store, keys), None, Stream(None, topic, 1))  # type: ignore[arg-type]
        first = record(0, topic=topic, key=customer.encode())
        await effect.write(0, Span(0, 1, "b"), [(first, customer)])
        other = first._replace(value=first.value + b"x")
        with pytest.raises(Halted, match="replaced"):
            await effect.write(0, Span(0, 1, "b"), [(other, customer)])


async def test_of_an_erased_customer_only_the_place_is_archived_and_no_key_is_made(
    services: Settings, repo: Repo
) -> None:
    topic, gone, other = new_id("topic"), new_id("cus"), new_id("cus")
    async with repo.transaction() as db:
        await erased.remember(db, [gone])
    owners = (gone, other, gone)
    items = [(record(i, topic=topic, key=c.encode()), c) for i, c in enumerate(owners)]
    async with open_store(services) as store:
        keys = DataKeys(store, master_keys(services), partial(is_erased, repo))
        effect = ArchiveEffect(None, (store, keys), None, Stream(None, topic, 1))  # type: ignore[arg-type]
        await effect.write(0, Span(0, 3, "b"), items)
        await effect.write(0, Span(0, 3, "b"), items)
        found = decode_archive(await store.get(archive_key(topic, 1, 0, (0, 2))))
        assert not await store.exists(f"keys/{gone}")
        assert await store.exists(f"keys/{other}")
    assert [each.offset for each in found] == [0, 1, 2]
    assert [each.sealed == b"" for each in found] == [True, False, True]


async def test_the_old_secret_key_still_opens_while_rotating(services: Settings) -> None:
    customer = new_id("cus")
    async with open_store(services) as store:
        made = await DataKeys(store, master_keys(services)).key_for(customer)
        rotated = msgspec.structs.replace(
            services,
            secret_key="bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleTE=",
            secret_key_old=services.secret_key,
        )
        assert await DataKeys(store, master_keys(rotated)).key_for(customer) == made
