"""Health and metrics of a process that serves nothing else, on its own port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from fitstream import metrics


class Readiness:
    """Whether the process can do its work."""

    def __init__(self) -> None:
        self.is_ready = False


@asynccontextmanager
async def monitored(host: str, port: int) -> AsyncIterator[Readiness]:
    """Serves /healthz, /readyz and /metrics while the block runs; port 0 serves nothing."""
    readiness = Readiness()
    if port == 0:
        yield readiness
        return
    runner = web.AppRunner(_app(readiness), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield readiness
    finally:
        await runner.cleanup()


def _app(readiness: Readiness) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        status = "ready" if readiness.is_ready else "waiting"
        return web.json_response({"status": status}, status=200 if readiness.is_ready else 503)

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show)
    return app
