"""Accounts as their owners change them: passwords, addresses, profiles; who may join."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.repo.database import Db, UniqueViolation, execute, fetch, fetch_one, fetch_value


class Person(msgspec.Struct, frozen=True):
    """An account, however it stands."""

    account_no: int
    id: str
    email: str
    password_hash: str
    role: str
    customer_no: int | None
    customer_id: str | None
    is_active: bool


class Candidate(msgspec.Struct, frozen=True):
    """A customer and whether they have a log-in."""

    customer_no: int
    id: str
    email: str | None
    name: str | None
    programme: str
    account_no: int | None
    is_active: bool


class Folderless(msgspec.Struct, frozen=True):
    """A customer whose folder is not set up."""

    customer_no: int
    id: str


class Registration(msgspec.Struct, frozen=True):
    """A programme, and whether anybody may join it."""

    id: str
    name: str
    open_registration: bool


class Profile(msgspec.Struct, frozen=True):
    """What a customer told of themselves; `picture_key` is an object's name."""

    name: str | None
    zone: str
    birth_date: date | None
    sex: str | None
    height_cm: float | None
    weight_kg: float | None
    picture_key: str | None
    email_verified_at: datetime | None


async def person_by_email(db: Db, email: str) -> Person | None:
    """The account of an address, also one that may not log in."""
    return await fetch_one(db, Person, "people.person_by_email", email)


async def get_person(db: Db, account_no: int) -> Person:
    """An account; raises NotFound."""
    found = await fetch_one(db, Person, "people.person_by_number", account_no)
    if found is None:
        raise NotFound("this account")
    return found


async def candidate_by_email(db: Db, email: str) -> Candidate | None:
    """The customer of an address."""
    return await fetch_one(db, Candidate, "people.candidate_by_email", email)


async def get_candidate(db: Db, customer_no: int) -> Candidate:
    """A customer who may be invited; raises NotFound."""
    found = await fetch_one(db, Candidate, "people.candidate_by_number", customer_no)
    if found is None:
        raise NotFound("this customer")
    return found


async def change_password(db: Db, account_no: int, password_hash: str) -> None:
    """Stores another password's hash; ending sessions is the caller's."""
    await execute(db, "people.change_password", account_no, password_hash)


async def verify_email(db: Db, account_no: int, now: datetime) -> None:
    """Notes that the address has answered."""
    await execute(db, "people.verify_email", account_no, now)


async def change_email(db: Db, person: Person, email: str, now: datetime) -> None:
    """Another address for an account and its customer. Raises Conflict(exists)."""
    try:
        async with db.transaction():
            await execute(db, "people.change_email", person.account_no, email, now)
            if person.customer_no is not None:
                await execute(db, "people.change_customers_email", person.customer_no, email)
    except UniqueViolation as error:
        raise Conflict("exists", "this address belongs to another account") from error


async def registration_of(db: Db, programme_id: str) -> Registration:
    """Whether a programme may be joined; raises NotFound."""
    found = await fetch_one(db, Registration, "people.registration_of", programme_id)
    if found is None:
        raise NotFound(f"programme {programme_id}")
    return found


async def open_registration(db: Db, programme_id: str, is_open: bool) -> None:
    """Lets people register themselves, or no more."""
    await execute(db, "people.open_registration", programme_id, is_open)


async def profile_of(db: Db, customer_no: int) -> Profile:
    """The profile of a customer; raises NotFound."""
    found = await fetch_one(db, Profile, "people.profile_of", customer_no)
    if found is None:
        raise NotFound("this customer")
    return found


async def set_profile(db: Db, customer_no: int, profile: Profile) -> None:
    """Stores name, birth date, sex, height and weight; zone and picture have their own ways."""
    about = (profile.name, profile.birth_date, profile.sex, profile.height_cm, profile.weight_kg)
    await execute(db, "people.set_profile", customer_no, *about)


async def set_picture(db: Db, customer_no: int, key: str | None) -> str | None:
    """Another picture's object; the name of the one before."""
    before: str | None = await fetch_value(db, "people.set_picture", customer_no, key)
    return before


async def newest_without_folder(db: Db) -> int | None:
    """Number of the newest customer whose folder is not set up, None when all are."""
    newest: int | None = await fetch_value(db, "people.newest_without_folder")
    return newest


async def without_folder(db: Db, after: int, limit: int) -> list[Folderless]:
    """Customers whose folder is not set up, after number `after`."""
    return await fetch(db, Folderless, "people.without_folder", after, limit)


async def mark_folders(db: Db, numbers: Sequence[int]) -> None:
    """Notes that their folders are set up."""
    await execute(db, "people.mark_folders", list(numbers))


async def known_customer(
    db: Db, programme_no: int, external_id: str | None, email: str | None
) -> str | None:
    """Id of the customer who has the external id in the programme, or the address anywhere."""
    known: str | None = await fetch_value(
        db, "people.known_customer", programme_no, external_id, email
    )
    return known
