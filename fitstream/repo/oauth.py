"""OAuth clients, codes, grants and tokens. Knows hashes only, except of what people type."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.errors import NotFound
from fitstream.ids import new_id
from fitstream.repo.database import Db, UniqueViolation, execute, fetch, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page
from fitstream.repo.sessions import Reason


class ClientRow(msgspec.Struct, frozen=True):
    """A program that may ask for tokens; without a secret it is public."""

    client_no: int
    id: str
    name: str
    secret_sha: bytes | None
    redirect_uris: list[str]
    grants: list[str]
    scopes: list[str]
    programmes: list[int] | None
    created_at: datetime
    disabled_at: datetime | None


class NewClient(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is created from."""

    name: str
    secret_sha: bytes | None
    redirect_uris: list[str]
    grants: list[str]
    scopes: list[str]
    programmes: list[int] | None = None


class CodeRow(msgspec.Struct, frozen=True):
    """An authorization code and what was granted with it."""

    code_sha: bytes
    client_no: int
    account_no: int
    customer_no: int
    device_no: int | None
    redirect_uri: str
    scopes: list[str]
    code_challenge: str
    expires_at: datetime
    used_at: datetime | None = None
    family_no: int | None = None


class DeviceCodeRow(msgspec.Struct, frozen=True):
    """A device that waits for approval, or has it."""

    device_code_sha: bytes
    user_code: str
    client_no: int
    client_id: str
    scopes: list[str]
    state: str
    account_no: int | None
    customer_no: int | None
    device_no: int | None
    interval_s: int
    polled_at: datetime | None
    expires_at: datetime


class NewFamily(msgspec.Struct, frozen=True, kw_only=True):
    """A grant: of a customer to a client, or of a client to itself."""

    client_no: int
    account_no: int | None = None
    customer_no: int | None = None
    device_no: int | None = None
    scopes: list[str]
    created_at: datetime
    expires_at: datetime


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of a family."""

    token_sha: bytes
    family_no: int
    kind: str
    scopes: list[str]
    parent_sha: bytes | None
    created_at: datetime
    expires_at: datetime


class TokenRow(msgspec.Struct, frozen=True):
    """A token with whom it stands for. `is_old` when its successor was exchanged, too."""

    token_sha: bytes
    family_no: int
    kind: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked: bool
    family_expires_at: datetime
    client_no: int
    client_id: str
    programmes: list[int] | None
    account_no: int | None
    account_id: str | None
    email: str | None
    customer_no: int | None
    customer_id: str | None
    device_no: int | None
    is_old: bool


class GrantRow(msgspec.Struct, frozen=True):
    """What a customer has granted to a program."""

    family_no: int
    id: str
    client_id: str
    client_name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


async def create_client(db: Db, new: NewClient) -> ClientRow:
    """A new client."""
    values = msgspec.structs.astuple(new)
    found = await fetch_one(db, ClientRow, "oauth.insert_client", new_id("cli"), *values)
    if found is None:
        raise NotFound("the new client")
    return found


async def find_client(db: Db, client_id: str) -> ClientRow | None:
    """A client, disabled or not."""
    return await fetch_one(db, ClientRow, "oauth.client_by_id", client_id)


async def get_client(db: Db, client_id: str) -> ClientRow:
    """A client; raises NotFound."""
    found = await find_client(db, client_id)
    if found is None:
        raise NotFound(f"client {client_id}")
    return found


async def list_clients(
    db: Db, asked: Slice, within: Sequence[int] | None = None, search: str | None = None
) -> Listed[ClientRow]:
    """A page of clients; for an administrator of some programmes those confined to them."""
    return await fetch_page(db, ClientRow, "oauth.list_clients", asked, within, search)


async def set_client_secret(db: Db, client_no: int, secret_sha: bytes) -> None:
    """A new secret; the old one stops working at once."""
    await execute(db, "oauth.set_client_secret", client_no, secret_sha)


async def set_client_disabled(db: Db, client_no: int, disabled: bool) -> None:
    """Refuses a client and ends all that was granted to it, or lets it ask again."""
    await execute(db, "oauth.set_client_disabled", client_no, disabled)
    if disabled:
        await execute(db, "oauth.end_client_codes", client_no)
        await execute(db, "oauth.revoke_client", client_no, "client_disabled")


async def insert_code(db: Db, code: CodeRow) -> None:
    """A code on its way through the browser."""
    await execute(db, "oauth.insert_code", *msgspec.structs.astuple(code)[:-2])


async def lock_code(db: Db, code_sha: bytes) -> CodeRow | None:
    """A code, held until the transaction ends."""
    return await fetch_one(db, CodeRow, "oauth.lock_code", code_sha)


async def use_code(db: Db, code_sha: bytes, now: datetime, family_no: int) -> None:
    """Notes what the code was exchanged for."""
    await execute(db, "oauth.use_code", code_sha, now, family_no)


async def count_waiting(db: Db, client_no: int, now: datetime) -> int:
    """How many devices of a client wait, after those that have long expired are forgotten."""
    await execute(db, "oauth.forget_waiting", now)
    count: int = await fetch_value(db, "oauth.count_waiting", client_no, now)
    return count


async def insert_device_code(db: Db, row: DeviceCodeRow) -> bool:
    """A device that waits; False when the short code is taken."""
    values = (row.device_code_sha, row.user_code, row.client_no, row.scopes, row.interval_s)
    try:
        async with db.transaction():
            await execute(db, "oauth.insert_device_code", *values, row.expires_at)
    except UniqueViolation:
        return False
    return True


async def lock_device_code(db: Db, device_code_sha: bytes) -> DeviceCodeRow | None:
    """A waiting device by its long code, held until the transaction ends."""
    return await fetch_one(db, DeviceCodeRow, "oauth.lock_device_code", device_code_sha)


async def lock_user_code(db: Db, user_code: str, now: datetime) -> DeviceCodeRow | None:
    """A device that still waits, by its short code."""
    return await fetch_one(db, DeviceCodeRow, "oauth.lock_user_code", user_code, now)


async def decide_device_code(db: Db, row: DeviceCodeRow) -> None:
    """Stores what the person said: state, account, customer and device of `row`."""
    said = (row.state, row.account_no, row.customer_no, row.device_no)
    await execute(db, "oauth.decide_device_code", row.device_code_sha, *said)


async def note_poll(db: Db, device_code_sha: bytes, now: datetime, interval_s: int) -> None:
    """When the device asked, and how long it must wait now."""
    await execute(db, "oauth.note_poll", device_code_sha, now, interval_s)


async def use_device_code(db: Db, device_code_sha: bytes) -> None:
    """It was exchanged for tokens."""
    await execute(db, "oauth.use_device_code", device_code_sha)


async def insert_family(db: Db, new: NewFamily) -> int:
    """Number of a new grant."""
    values = msgspec.structs.astuple(new)
    number: int = await fetch_value(db, "oauth.insert_family", new_id("grt"), *values)
    return number


async def insert_token(db: Db, new: NewToken) -> None:
    """Stores the hash of a token."""
    await execute(db, "oauth.insert_token", *msgspec.structs.astuple(new))


async def find_token(db: Db, token_sha: bytes) -> TokenRow | None:
    """A token as it stands."""
    return await fetch_one(db, TokenRow, "oauth.find_token", token_sha)


async def lock_token(db: Db, token_sha: bytes) -> TokenRow | None:
    """The same, with its family held until the transaction ends."""
    await fetch_value(db, "oauth.lock_family_of", token_sha)
    return await find_token(db, token_sha)


async def use_token(db: Db, token_sha: bytes, now: datetime) -> None:
    """A refresh token that was exchanged."""
    await execute(db, "oauth.use_token", token_sha, now)


async def revoke_token(db: Db, token_sha: bytes) -> None:
    """Ends one access token."""
    await execute(db, "oauth.revoke_token", token_sha)


async def revoke_family(db: Db, family_no: int, reason: Reason) -> bool:
    """Ends a grant with all its tokens; False, and nothing changes, when it had ended."""
    return await execute(db, "oauth.revoke_family", family_no, reason) > 0


async def list_grants(
    db: Db, customer_no: int, now: datetime, before: int | None, limit: int
) -> list[GrantRow]:
    """What a customer has granted and not withdrawn, newest first, below a number."""
    asked = (customer_no, now, before, None, limit)
    return await fetch(db, GrantRow, "oauth.list_grants", *asked)


async def get_grant(db: Db, customer_no: int, now: datetime, grant_id: str) -> GrantRow:
    """One of them; raises NotFound."""
    asked = (customer_no, now, None, grant_id, 1)
    found = await fetch_one(db, GrantRow, "oauth.list_grants", *asked)
    if found is None:
        raise NotFound(f"grant {grant_id}")
    return found


async def forget_old(db: Db, before: datetime) -> None:
    """Deletes what had ended by then."""
    await execute(db, "oauth.forget_old", before)
