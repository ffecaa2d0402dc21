"""Seals the audit log once a minute, beside the dispatcher's work.

No job of its own: a row and a process per minute for a hash of a few lines would be the most
frequent thing in the list of jobs. Any number may run: a link is made under a lock.
"""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

from fitstream.errors import Unavailable
from fitstream.logs import get
from fitstream.operations.audit import seal
from fitstream.operations.audit_anchor import drop_old
from fitstream.repo.database import Repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings

log = get(__name__)


_DROP_EVERY_S = 3600.0


async def seal_always(repo: Repo, settings: Settings, stop: asyncio.Event) -> None:
    """Until `stop`; an outage, or a long transaction that holds the log, is waited out.

    Once an hour what is older than the log is kept for goes.
    """
    masters = master_keys(settings)
    drop_at = 0.0
    while not stop.is_set():
        try:
            await seal(repo, masters)
            if time.monotonic() >= drop_at:
                await drop_old(repo, masters, settings.audit_keep_days, datetime.now(UTC))
                drop_at = time.monotonic() + _DROP_EVERY_S
        except Unavailable as error:
            log.warning("audit_not_sealed", detail=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.audit_seal_s)
