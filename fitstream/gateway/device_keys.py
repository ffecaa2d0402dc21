"""Keys of devices: made here, so that every new one works as Bearer, Basic and Digest."""

from aiohttp import web

from fitstream.gateway.keys import DIGEST
from fitstream.ids import ApiKey, new_key
from fitstream.repo import keys
from fitstream.repo.database import Db


async def issue_key(app: web.Application, db: Db, device_no: int) -> ApiKey:
    """A new key of a device, in the caller's transaction; its text can never be read again."""
    key = new_key()
    await keys.insert_device_key(db, key, device_no, app[DIGEST].seal_ha1(key.text))
    return key
