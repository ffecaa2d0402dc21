"""Serving an application on a port that several processes may share."""

import asyncio
import errno
import resource
from contextlib import suppress

from aiohttp import web

from fitstream.errors import Halted
from fitstream.gateway.protocol import Runner
from fitstream.settings import Settings

_KEEP_ALIVE_S = 75
_BACKLOG = 1024


async def serve(
    app: web.Application,
    settings: Settings,
    port: int,
    stop: asyncio.Event,
    *,
    is_shared: bool = False,
) -> None:
    """Serves until `stop`: then no new connections, open requests finish, resources close.

    Only a port that `is_shared` on purpose may have other listeners: the kernel would hand them
    half of what is meant for us. Raises Halted when the port is taken.
    """
    _allow_connections()
    runner = Runner(
        app,
        access_log=None,
        keepalive_timeout=_KEEP_ALIVE_S,
        shutdown_timeout=settings.shutdown_s,
        max_line_size=8190,
        max_field_size=8190,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, port, backlog=_BACKLOG, reuse_port=is_shared)
        await _start(site, settings.host, port)
        await stop.wait()
    finally:
        await runner.cleanup()


def _allow_connections() -> None:
    """As many open files as the machine lets us have: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _start(site: web.TCPSite, host: str, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        text = f"port {port} of {host} is taken: stop what listens there, or choose another --port"
        raise Halted(text, "port_taken") from error
