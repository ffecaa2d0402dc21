"""Sealed records open only with their own key, at their own place, under a secret key in use."""

import asyncio
import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.errors import Rejected, Unavailable
from fitstream.sealing import DataKeys, master_keys, seal, unseal
from fitstream.settings import Settings, SettingsError, load
from tests.factories import KEY, OLD_KEY, SETTINGS
from tests.fakes.store import FakeStore

DATA_KEY = b"d" * 32
PLACE = (1, 3, 77)
NEW, OLD = base64.b64decode(KEY), base64.b64decode(OLD_KEY)


def settings(key: str = KEY, old: str = "") -> Settings:
    return msgspec.structs.replace(load(SETTINGS), secret_key=key, secret_key_old=old)


@given(st.binary(max_size=400))
def test_a_record_opens_as_it_was_sealed(value: bytes) -> None:
    assert unseal(DATA_KEY, PLACE, seal(DATA_KEY, PLACE, value)) == value


def test_the_same_record_gives_the_same_bytes() -> None:
    assert seal(DATA_KEY, PLACE, b"value") == seal(DATA_KEY, PLACE, b"value")


def test_equal_records_at_different_places_look_different() -> None:
    assert seal(DATA_KEY, PLACE, b"value") != seal(DATA_KEY, (1, 3, 78), b"value")
    assert b"value" not in seal(DATA_KEY, PLACE, b"value")


@pytest.mark.parametrize("place", [(2, 3, 77), (1, 4, 77), (1, 3, 78)])
def test_a_record_that_was_moved_does_not_open(place: tuple[int, int, int]) -> None:
    with pytest.raises(Rejected) as error:
        unseal(DATA_KEY, place, seal(DATA_KEY, PLACE, b"value"))
    assert error.value.code == "unsealable"


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 20, -1])
def test_a_record_that_was_shortened_or_changed_does_not_open(cut: int) -> None:
    sealed = seal(DATA_KEY, PLACE, b"value")
    changed = bytes([sealed[cut] ^ 1])
    for broken in (sealed[:cut], sealed[:cut] + changed + sealed[cut:][1:]):
        with pytest.raises(Rejected):
            unseal(DATA_KEY, PLACE, broken)


def test_another_customers_key_does_not_open_it() -> None:
    with pytest.raises(Rejected):
        unseal(b"e" * 32, PLACE, seal(DATA_KEY, PLACE, b"value"))


async def test_a_customers_key_is_made_once_and_stays() -> None:
    store = FakeStore()
    key = await DataKeys(store, [NEW]).key_for("cus_1")
    assert len(key) == 32
    assert await DataKeys(store, [NEW]).key_for("cus_1") == key
    assert await DataKeys(store, [NEW]).key_for("cus_2") != key
    assert sorted(store.objects) == ["keys/cus_1", "keys/cus_2"]
    assert key not in store.objects["keys/cus_1"]


async def test_two_makers_at_once_agree_on_the_first_key() -> None:
    class Slow(FakeStore):
        async def get(self, name: str) -> bytes:
            found = await super().get(name)
            await asyncio.sleep(0)
            return found

        async def put_new(self, key: str, body: bytes, content_type: str = ""):  # type: ignore[no-untyped-def]
            await asyncio.sleep(0)  # both have found nothing before either puts
            return await super().put_new(key, body, content_type)

    store = Slow()
    makers = [DataKeys(store, [NEW]) for _ in range(4)]
    assert len(set(await asyncio.gather(*(each.key_for("cus_1") for each in makers)))) == 1


async def test_a_key_is_read_once_and_then_kept() -> None:
    store = FakeStore()
    keys = DataKeys(store, [NEW])
    key = await keys.key_for("cus_1")
    store.failing = True
    assert await keys.key_for("cus_1") == key
    with pytest.raises(Unavailable):
        await keys.key_for("cus_2")


async def test_keys_wrapped_before_a_rotation_open_while_the_old_secret_is_known() -> None:
    store = FakeStore()
    key = await DataKeys(store, [OLD]).key_for("cus_1")
    assert await DataKeys(store, [NEW, OLD]).key_for("cus_1") == key
    with pytest.raises(Rejected, match="cus_1"):
        await DataKeys(store, [NEW]).key_for("cus_1")


async def test_a_key_that_was_wrapped_anew_needs_the_old_secret_no_more() -> None:
    store = FakeStore()
    before, both, after = settings(OLD_KEY), settings(KEY, OLD_KEY), settings(KEY)
    key = await DataKeys(store, master_keys(before)).key_for("cus_1")
    rotating = DataKeys(store, master_keys(both))
    assert await rotating.rewrap("cus_1")
    assert not await rotating.rewrap("cus_1")
    assert not await rotating.rewrap("cus_gone")
    assert await DataKeys(store, master_keys(after)).existing_key("cus_1") == key


async def test_new_keys_are_wrapped_under_the_new_secret() -> None:
    store = FakeStore()
    key = await DataKeys(store, [NEW, OLD]).key_for("cus_1")
    assert await DataKeys(store, [NEW]).key_for("cus_1") == key


async def test_a_wrapped_key_that_was_moved_to_another_customer_does_not_open() -> None:
    store = FakeStore()
    await DataKeys(store, [NEW]).key_for("cus_1")
    store.objects["keys/cus_2"] = store.objects["keys/cus_1"]
    with pytest.raises(Rejected):
        await DataKeys(store, [NEW]).key_for("cus_2")


@pytest.mark.parametrize("body", [b"", b"short", b"x" * 12, b"x" * 60])
async def test_a_wrapped_key_that_is_broken_is_told_and_never_replaced(body: bytes) -> None:
    store = FakeStore()
    store.objects["keys/cus_1"] = body
    with pytest.raises(Rejected) as error:
        await DataKeys(store, [NEW, OLD]).key_for("cus_1")
    assert error.value.code == "unsealable"
    assert store.objects["keys/cus_1"] == body


async def test_without_its_wrapped_key_nothing_sealed_for_a_customer_opens_again() -> None:
    store = FakeStore()
    sealed = seal(await DataKeys(store, [NEW]).key_for("cus_1"), PLACE, b"value")
    await store.delete("keys/cus_1")
    key = await DataKeys(store, [NEW]).key_for("cus_1")
    with pytest.raises(Rejected):
        unseal(key, PLACE, sealed)


def test_the_secret_key_comes_first_and_the_old_one_only_during_a_rotation() -> None:
    assert master_keys(settings()) == [NEW]
    assert master_keys(settings(old=OLD_KEY)) == [NEW, OLD]


@pytest.mark.parametrize("text", ["", "short", "a2tra2s=", "é" * 44, KEY[:-4] + "!!!!"])
def test_a_secret_key_that_is_not_32_bytes_of_base64_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"FITSTREAM_SECRET_KEY must"):
        master_keys(settings(key=text))
    if text:
        with pytest.raises(SettingsError, match=r"FITSTREAM_SECRET_KEY_OLD must"):
            master_keys(settings(old=text))
