"""What a Store promises: one suite over every S3 implementation that we claim to run on."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from fitstream.errors import Conflict, NotFound, Rejected, Unavailable
from fitstream.settings import Settings
from fitstream.store import Store, open_store


async def keys_of(store: Store, prefix: str = "") -> list[str]:
    return [key async for key in store.list_keys(prefix)]


class StoreContract:
    """A test class of an implementation inherits this and has fixtures `store` and `settings`."""

    puts_are_atomic = True  # whether of two that put one new name at once only one succeeds

    async def test_an_object_is_read_as_it_was_put(self, store: Store) -> None:
        body = bytes(range(256)) * 512
        stored = await store.put_new("users/a/file.parquet", body, "application/parquet")
        assert stored == ("users/a/file.parquet", len(body), sha256(body).hexdigest(), "created")
        assert await store.get("users/a/file.parquet") == body

    async def test_an_empty_object_is_an_object(self, store: Store) -> None:
        await store.put_new("empty", b"")
        assert await store.get("empty") == b""
        assert await store.exists("empty")

    async def test_the_same_bytes_again_are_the_same_object(self, store: Store) -> None:
        first = await store.put_new("name", b"bytes")
        again = await store.put_new("name", b"bytes")
        assert (first.outcome, again.outcome) == ("created", "same")
        assert again[:3] == first[:3]

    async def test_other_bytes_under_one_name_are_an_alarm(self, store: Store) -> None:
        await store.put_new("name", b"bytes")
        with pytest.raises(Conflict) as error:
            await store.put_new("name", b"other")
        assert error.value.code == "object_differs"
        assert await store.get("name") == b"bytes"

    async def test_a_store_that_keeps_what_it_has_passes_the_probe_again_and_again(
        self, store: Store
    ) -> None:
        for _ in range(2):
            await store.check_honours()

    async def test_a_store_that_overwrites_is_refused(self, store: Store) -> None:
        class Careless:
            """The same client, with the condition dropped as some stores do."""

            async def put_object(self, **asked: Any) -> Any:
                asked.pop("IfNoneMatch")
                return await store._client.put_object(**asked)

        careless = Store(Careless(), store._bucket, store._checksum)
        with pytest.raises(Rejected) as error:
            await careless.check_honours()
        assert error.value.code == "store_overwrites"
        await store.delete("probes/if-none-match")

    async def test_of_many_writers_at_once_one_wins_and_all_know(self, store: Store) -> None:
        bodies = [b"writer %d" % number for number in range(6)]
        outcomes = await asyncio.gather(
            *(store.put_new("name", body) for body in bodies), return_exceptions=True
        )
        there = await store.get("name")
        for body, outcome in zip(bodies, outcomes, strict=True):
            if body == there:
                assert not isinstance(outcome, BaseException)
            elif self.puts_are_atomic:
                assert isinstance(outcome, Conflict | Unavailable)

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.get("nowhere")
        assert not await store.exists("nowhere")

    async def test_names_are_listed_in_order_below_their_prefix(self, store: Store) -> None:
        names = ["a/10", "a/2", "a/1", "ab", "b/1", "a/sub/x"]
        for name in names:
            await store.put_new(name, name.encode())
        assert await keys_of(store) == sorted(names)
        assert await keys_of(store, "a/") == ["a/1", "a/10", "a/2", "a/sub/x"]
        assert await keys_of(store, "z") == []
        assert [key async for key in store.list_keys("a/", "a/10")] == ["a/2", "a/sub/x"]
        assert [key async for key in store.list_keys("a/", "a/15")] == ["a/2", "a/sub/x"]

    async def test_folders_are_listed_each_once(self, store: Store) -> None:
        for name in ("raw/t/1/0/a", "raw/t/1/0/b", "raw/t/12/3/a", "raw/t/2/0/a", "raw/t/x"):
            await store.put_new(name, b"1")
        assert sorted(await store.list_folders("raw/t/")) == ["1", "12", "2"]
        assert await store.list_folders("raw/u/") == []

    async def test_a_listing_tells_size_and_age(self, store: Store) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        await store.put_new("a/1", b"four")
        (found,) = [each async for each in store.list_objects("a/")]
        assert (found.key, found.size) == ("a/1", 4)
        assert before <= found.modified <= datetime.now(UTC) + timedelta(seconds=2)

    async def test_names_of_the_layout_survive(self, store: Store) -> None:
        names = [
            f"raw/samples.v1/1/23/{0:019d}-{499:019d}.msgpack",
            "users/cus_1/weeks/2026-W47/manifest-v0001-0123456789ab.json",
            "keys/cus_1",
            "odd/a b+c=d&e%20f~é",
        ]
        for name in names:
            await store.put_new(name, b"x")
            assert await store.get(name) == b"x"
        assert await keys_of(store) == sorted(names)

    async def test_deleting_twice_is_deleting_once(self, store: Store) -> None:
        await store.put_new("name", b"bytes")
        for _ in range(2):
            await store.delete("name")
            assert not await store.exists("name")
        assert (await store.put_new("name", b"other")).outcome == "created"

    async def test_a_bucket_is_made_once(self, store: Store) -> None:
        await store.put_new("name", b"bytes")
        await asyncio.gather(*(store.make_bucket() for _ in range(3)))
        await store.ping()
        assert await keys_of(store) == ["name"]

    async def test_many_at_once_make_one_new_bucket(self, store: Store, settings: Settings) -> None:
        other = msgspec.structs.replace(settings, s3_bucket=settings.s3_bucket + "-new")
        async with open_store(other) as new:
            with pytest.raises(NotFound):
                await new.ping()
            with pytest.raises(NotFound):
                await new.put_new("name", b"bytes")
            await asyncio.gather(*(new.make_bucket() for _ in range(4)))
            await new.put_new("name", b"bytes")
            assert await keys_of(new) == ["name"]

    async def test_a_checksum_that_the_store_can_check_is_accepted(
        self, store: Store, settings: Settings
    ) -> None:
        for checksum in self.checksums:
            chosen = msgspec.structs.replace(settings, s3_checksum=checksum)
            async with open_store(chosen) as other:
                await other.put_new(f"checked/{checksum}", b"bytes")
            assert await store.get(f"checked/{checksum}") == b"bytes"

    checksums: tuple[str, ...] = ("md5",)
