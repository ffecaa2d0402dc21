"""The limit of ingest one by one: an aiohttp handler that answers 202 and does nothing."""

import asyncio
import signal
import sys
from typing import Any

import uvloop
from aiohttp import web


async def nothing(_: web.Request) -> web.Response:
    """Does nothing."""
    return web.Response(status=202)


async def serve(handler: Any, port: int) -> None:
    """Serves `handler` at POST /v1/samples until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application(client_max_size=4_194_304)
    app.router.add_post("/v1/samples", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(nothing, int(sys.argv[1])))
