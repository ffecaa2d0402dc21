"""What the predecessor's clients know of a person: log-in name, address, and so on."""

from collections.abc import Mapping

import msgspec

from fitstream.errors import NotFound
from fitstream.repo.database import Db, UniqueViolation, execute, fetch_one, fetch_value

FIELDS = ("fname", "lname", "gender", "phone", "address", "city", "state", "zipcode", "bio")


class LegacyProfile(msgspec.Struct, frozen=True):
    """A customer as old clients show them; None was never said."""

    customer_no: int
    name: str | None
    email: str | None
    zone: str
    uname: str | None
    fname: str | None
    lname: str | None
    gender: str | None
    phone: str | None
    address: str | None
    city: str | None
    state: str | None
    zipcode: str | None
    bio: str | None
    sex: str | None
    has_picture: bool
    login: str | None
    is_verified: bool


async def profile_of(db: Db, customer_no: int) -> LegacyProfile:
    """The customer; raises NotFound."""
    found = await fetch_one(db, LegacyProfile, "legacy.profile_of", customer_no)
    if found is None:
        raise NotFound("this customer")
    return found


async def set_profile(db: Db, customer_no: int, fields: Mapping[str, str]) -> None:
    """Stores the fields of FIELDS that are given, and `uname` unless somebody else has it."""
    values = [fields.get(name) for name in FIELDS]
    await execute(db, "legacy.set_profile", customer_no, *values)
    if fields.get("uname"):
        try:
            async with db.transaction():
                await execute(db, "legacy.set_uname", customer_no, fields["uname"])
        except UniqueViolation:
            return  # they log in by their address


async def email_of(db: Db, uname: str) -> str | None:
    """The address of who logs in with this name."""
    found: str | None = await fetch_value(db, "legacy.email_of", uname)
    return found
