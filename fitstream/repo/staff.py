"""Administrators, analysts, supporters, and programs' keys: who may what for which programmes."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.errors import NotFound
from fitstream.ids import ApiKey
from fitstream.repo.database import Db, execute, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page


class StaffRow(msgspec.Struct, frozen=True):
    """One of the staff; `programmes` are numbers, None for all."""

    account_no: int
    id: str
    email: str
    role: str
    programmes: list[int] | None
    created_at: datetime
    disabled_at: datetime | None


class ProgramKeyRow(msgspec.Struct, frozen=True):
    """A program's key."""

    id: str
    name: str
    scopes: list[str]
    programmes: list[int] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewProgramKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a program's key is made from."""

    name: str
    scopes: list[str]
    programmes: list[int] | None
    expires_at: datetime | None
    account_no: int | None


async def list_staff(
    db: Db, asked: Slice, within: Sequence[int] | None = None, search: str | None = None
) -> Listed[StaffRow]:
    """A page of the staff; for an administrator of some programmes those confined to them."""
    return await fetch_page(db, StaffRow, "staff.list_staff", asked, within, None, search)


async def get_staff(db: Db, account_id: str) -> StaffRow:
    """One of the staff; raises NotFound."""
    found = await fetch_one(db, StaffRow, "staff.list_staff", None, account_id, None)
    if found is None:
        raise NotFound(f"account {account_id}")
    return found


async def set_rights(db: Db, account_no: int, role: str, programmes: Sequence[int] | None) -> None:
    """What one of the staff may, and where."""
    await execute(db, "staff.set_rights", account_no, role, programmes)


async def set_disabled(db: Db, account_no: int, disabled: bool) -> None:
    """Refuses an account, or accepts it again."""
    await execute(db, "staff.set_disabled", account_no, disabled)


async def insert_program_key(db: Db, key: ApiKey, new: NewProgramKey) -> None:
    """Stores the hash of a program's new key."""
    changed = await fetch_value(db, "keys.raise_counter")
    values = (key.id, key.secret_sha, *msgspec.structs.astuple(new), changed)
    await execute(db, "staff.insert_program_key", *values)


async def list_program_keys(
    db: Db, asked: Slice, within: Sequence[int] | None = None, search: str | None = None
) -> Listed[ProgramKeyRow]:
    """A page of programs' keys, revoked ones too."""
    name = "staff.list_program_keys"
    return await fetch_page(db, ProgramKeyRow, name, asked, within, None, search)


async def get_program_key(db: Db, key_id: str) -> ProgramKeyRow:
    """One program's key; raises NotFound."""
    values = (None, key_id, None)
    found = await fetch_one(db, ProgramKeyRow, "staff.list_program_keys", *values)
    if found is None:
        raise NotFound(f"key {key_id}")
    return found


async def revoke_program_key(db: Db, key_id: str) -> None:
    """Ends a program's key; every process knows within its poll interval."""
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "staff.revoke_program_key", key_id, changed)
