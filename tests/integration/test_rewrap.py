"""The end of a rotation: nothing needed opens with the old secret key alone any more."""

import base64
from secrets import token_bytes

import msgspec
import pytest

from fitstream.boxes import close_box, open_box
from fitstream.ids import new_key
from fitstream.operations.rewrap import rewrap
from fitstream.repo import accounts, customers, devices, keys
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Repo
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import open_store

pytestmark = pytest.mark.stack
SECRET, HA1 = b"JBSWY3DPEHPK3PXP", b"h" * 32


async def test_after_it_the_old_key_may_go(repo: Repo, services: Settings) -> None:
    fresh = base64.b64encode(token_bytes(32)).decode()
    rotating = msgspec.structs.replace(
        services, secret_key=fresh, secret_key_old=services.secret_key
    )
    old, both = master_keys(services), master_keys(rotating)
    key = new_key()
    async with repo.transaction() as db:
        customer = await customers.create_customer(db, NewCustomer())
        device = await devices.create_device(db, customer.customer_no, "watch", "left", None)
        ha1 = close_box(old, f"digest HA1 of {key.id}", HA1)
        await keys.insert_device_key(db, key, device.device_no, ha1)
        email = f"{customer.id}@example.org"
        number = await accounts.create_account(db, email, "x", "admin", None)
        await db.execute(
            "INSERT INTO second_factor (account_no, secret) VALUES ($1, $2)",
            number, close_box(old, f"second factor of {number}", SECRET),
        )  # fmt: skip
    async with open_store(services) as store:
        data_key = await DataKeys(store, old).key_for(customer.id)
        done = await rewrap(repo, store, both)
        assert done.data_keys >= 1
        assert done.boxes >= 2
        again = await rewrap(repo, store, both)
        assert (again.data_keys, again.boxes) == (0, 0)
        assert await DataKeys(store, both[:1]).existing_key(customer.id) == data_key
        async with repo.connection() as db:
            sealed = await db.fetchval("SELECT ha1 FROM api_key WHERE id = $1", key.id)
            secret = await db.fetchval(
                "SELECT secret FROM second_factor WHERE account_no = $1", number
            )
        assert open_box(both[:1], f"digest HA1 of {key.id}", sealed) == HA1
        assert open_box(both[:1], f"second factor of {number}", secret) == SECRET
        await rewrap(repo, store, [*old, both[0]])  # back again: other tests share this database


async def test_the_key_of_a_customer_who_is_being_erased_is_not_written_again(
    repo: Repo, services: Settings
) -> None:
    """The customer's row goes first, then the key: in between a rewrap leaves it alone."""
    fresh = base64.b64encode(token_bytes(32)).decode()
    rotating = msgspec.structs.replace(
        services, secret_key=fresh, secret_key_old=services.secret_key
    )
    async with open_store(services) as store:
        keys_of = DataKeys(store, master_keys(services))
        await keys_of.key_for("cus_erased")
        before = await store.get("keys/cus_erased")
        done = await rewrap(repo, store, master_keys(rotating))
        assert "keys/cus_erased" in done.left
        assert await store.get("keys/cus_erased") == before
        await store.delete("keys/cus_erased")
        await rewrap(repo, store, [*master_keys(services), master_keys(rotating)[0]])
        assert not await store.exists("keys/cus_erased")
