"""Keys of devices, programs and administrators, and the counter that tells caches to look."""

from datetime import datetime, timedelta

import msgspec

from fitstream.ids import ApiKey
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value


class KeyRow(msgspec.Struct, frozen=True):
    """A key with whom it stands for; `revoked` covers removed devices and inactive customers.

    `ha1` is sealed; `post_interval_s` and `paused` are what its device is told with each receipt.
    """

    id: str
    secret_sha: bytes
    kind: str
    revoked: bool
    device_id: str | None
    device_no: int | None
    customer_id: str | None
    customer_no: int | None
    account_id: str | None
    ha1: bytes | None
    expires_at: datetime | None
    post_interval_s: int | None
    paused: bool | None
    account_no: int | None
    account_role: str | None
    programmes: list[int] | None
    scopes: list[str]


async def counter(db: Db) -> int:
    """Rises with every change of a key; a smaller value than before means: reload all."""
    value: int = await fetch_value(db, "keys.counter")
    return value


async def keys_since(db: Db, value: int) -> list[KeyRow]:
    """Keys changed after counter `value`; 0 gives all."""
    return await fetch(db, KeyRow, "keys.keys_since", value)


async def find_key(db: Db, key_id: str) -> KeyRow | None:
    """One key by its public id."""
    return await fetch_one(db, KeyRow, "keys.key_by_id", key_id)


async def insert_device_key(db: Db, key: ApiKey, device_no: int, ha1: bytes | None = None) -> None:
    """Stores the hash of a device's new key, and the sealed HA1 that Digest needs."""
    changed = await fetch_value(db, "keys.raise_counter")
    values = (key.id, key.secret_sha, "device", "", device_no, None, changed)
    await execute(db, "keys.insert_key", *values)
    await execute(db, "keys.set_ha1", key.id, ha1)


async def insert_admin_key(db: Db, key: ApiKey, name: str, account_no: int | None) -> None:
    """Stores the hash of an administrator's new key."""
    changed = await fetch_value(db, "keys.raise_counter")
    values = (key.id, key.secret_sha, "admin", name, None, account_no, changed)
    await execute(db, "keys.insert_key", *values)


async def revoke_device_keys(db: Db, device_no: int) -> None:
    """Revokes all keys of a device; every gateway knows within its poll interval."""
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "keys.revoke_device_keys", device_no, changed)


async def revoke_other_keys(db: Db, device_no: int, key_id: str) -> None:
    """Revokes all keys of a device but the one with this id."""
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "keys.revoke_other_keys", device_no, key_id, changed)


async def expire_device_keys(db: Db, device_no: int, overlap: timedelta) -> datetime | None:
    """Lets the live keys of a device end after `overlap`; when the last of them does, or None."""
    changed = await fetch_value(db, "keys.raise_counter")
    ends: datetime | None = await fetch_value(
        db, "keys.expire_device_keys", device_no, changed, overlap
    )
    return ends


async def touch_device_keys(db: Db, device_no: int) -> None:
    """Makes caches read a device's keys again, after its settings changed."""
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "keys.touch_device_keys", device_no, changed)


async def touch_customer_keys(db: Db, customer_no: int) -> None:
    """Makes caches read a customer's keys again, after they were deactivated or came back."""
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "keys.touch_customer_keys", customer_no, changed)
