"""First steps on empty services: schema, topics, bucket, the first administrator. Repeatable."""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from fitstream.broker import make_topics
from fitstream.gateway.passwords import hash_password
from fitstream.ids import key_of, new_key
from fitstream.logs import get
from fitstream.repo import accounts, keys, progress
from fitstream.repo.audit import SYSTEM, Subject, record
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.settings import Settings
from fitstream.store import open_store

log = get(__name__)


class NewAdmin(msgspec.Struct, frozen=True):
    """An administrator's credentials; only their hashes are stored."""

    email: str
    password: str
    api_key: str


class SetUp(NamedTuple):
    """Whether the first administrator was made just now, and whether their account is there."""

    made: bool
    known: bool


async def set_up(settings: Settings, first: NewAdmin) -> SetUp:
    """Makes what is missing, `first` only while there is no administrator at all.

    A repeat after a crash finishes what was begun: all of an administrator is one transaction.
    Raises Rejected(store_overwrites) for a store that would not keep its objects.
    """
    async with open_repo(settings) as repo, open_store(settings) as store:
        applied = await migrate(repo, datetime.now(UTC).date())
        topics = await make_topics(settings)
        await store.make_bucket()
        await store.check_honours()
        async with repo.transaction() as db:
            await progress.adopt_generation(db, settings.topic, 1)
            known = await accounts.has_admin(db)
            is_first = await accounts.find_account(db, first.email) is not None
        log.info("set_up", migrations=applied, topics=topics)
        if not known:
            await create_admin(repo, first)
        return SetUp(made=not known, known=is_first or not known)


def new_admin(email: str, password: str | None) -> NewAdmin:
    """Credentials with a new key, and a password that is made up unless one is given."""
    return NewAdmin(email, password or secrets.token_urlsafe(15), new_key().text)


async def create_admin(repo: Repo, new: NewAdmin) -> None:
    """Stores an administrator with a key. Raises Conflict(exists), Rejected(weak_password)."""
    password_hash = await hash_password(new.password, new.email)
    async with repo.transaction() as db:
        number = await accounts.create_account(db, new.email, password_hash, "admin", None)
        await keys.insert_admin_key(db, key_of(new.api_key), new.email, number)
        await record(db, SYSTEM, "staff.created", Subject("account", str(number)))
