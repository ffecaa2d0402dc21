"""First steps on empty services: schema, topics, bucket, the first administrator. Repeatable."""

import secrets
from datetime import UTC, datetime

import msgspec

from fitstream.broker import make_topics
from fitstream.gateway.sessions import hash_password
from fitstream.ids import new_key
from fitstream.logs import get
from fitstream.repo import accounts, keys, progress
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.migrate import migrate
from fitstream.settings import Settings
from fitstream.store import open_store

log = get(__name__)
DEFAULT_EMAIL = "admin@fitstream.invalid"


class NewAdmin(msgspec.Struct, frozen=True):
    """A new administrator's credentials, shown once."""

    email: str
    password: str
    api_key: str


async def set_up(settings: Settings) -> NewAdmin | None:
    """Makes what is missing; the first administrator's credentials if there was none."""
    async with open_repo(settings) as repo, open_store(settings) as store:
        applied = await migrate(repo, datetime.now(UTC).date())
        topics = await make_topics(settings)
        await store.make_bucket()
        async with repo.transaction() as db:
            await progress.adopt_generation(db, settings.topic, 1)
            known = await accounts.has_admin(db)
        log.info("set_up", migrations=applied, topics=topics)
        return None if known else await create_admin(repo, DEFAULT_EMAIL, None)


async def create_admin(repo: Repo, email: str, password: str | None) -> NewAdmin:
    """A new administrator with a key; without a password one is made up.

    Raises Conflict(exists), Rejected(weak_password).
    """
    chosen = password or secrets.token_urlsafe(15)
    password_hash = await hash_password(chosen)
    key = new_key()
    async with repo.transaction() as db:
        number = await accounts.create_account(db, email, password_hash, "admin", None)
        await keys.insert_admin_key(db, key, email, number)
    return NewAdmin(email, chosen, key.text)
