"""`fitstream rewrap`: the last step of a rotation of the secret key."""

import msgspec

from fitstream.operations.rewrap import rewrap
from fitstream.repo.database import open_repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings
from fitstream.store import open_store


async def run_rewrap(settings: Settings) -> str:
    """What was done, as JSON."""
    async with open_repo(settings) as repo, open_store(settings) as store:
        done = await rewrap(repo, store, master_keys(settings))
    return msgspec.json.encode(done).decode()
