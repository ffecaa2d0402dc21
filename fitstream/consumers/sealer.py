"""Seals the audit log once a minute, beside the dispatcher's work.

No job of its own: a row and a process per minute for a hash of a few lines would be the most
frequent thing in the list of jobs. Any number may run: a link is made under a lock.
"""

import asyncio
from contextlib import suppress

from fitstream.errors import Unavailable
from fitstream.logs import get
from fitstream.operations.audit import seal
from fitstream.repo.database import Repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings

log = get(__name__)


async def seal_always(repo: Repo, settings: Settings, stop: asyncio.Event) -> None:
    """Until `stop`; an outage, or a long transaction that holds the log, is waited out."""
    masters = master_keys(settings)
    while not stop.is_set():
        try:
            await seal(repo, masters)
        except Unavailable as error:
            log.warning("audit_not_sealed", detail=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.audit_seal_s)
