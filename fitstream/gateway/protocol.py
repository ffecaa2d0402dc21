"""One connection: what cannot be read as HTTP is refused as a problem, and nobody waits for ever.

aiohttp answers such requests itself, before any middleware, as text and with a stack trace in the
log; and it waits without end for the first line of a connection.
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from fitstream.gateway.problems import code_for, make_problem
from fitstream.metrics import count

_FIRST_REQUEST_S = 30.0


class Protocol(web.RequestHandler):
    """aiohttp's own, with a deadline for the first request and problems for what is no request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the deadline."""
        super().connection_made(transport)
        self._first = asyncio.get_running_loop().call_later(_FIRST_REQUEST_S, self._close_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the deadline."""
        self._first.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or too long; a bug is left to aiohttp."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            status = 431
        code = code_for(status)
        count("http_responses", route="unreadable", status=str(status))
        response = make_problem(status, code, _DETAILS.get(code, _DETAILS["bad_request"]))
        response.force_close()
        return response

    def _close_silent(self) -> None:
        if not self._request_count:
            self.force_close()


_DETAILS = {
    "bad_request": "the request is not HTTP that can be understood",
    "headers_too_large": "the request line or a header is longer than 8190 bytes",
}


class ProblemServer(web.Server):
    """Makes a `Protocol` for each connection."""

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application behind a `ProblemServer`."""

    async def _make_server(self) -> web.Server:
        made: Any = await super()._make_server()
        return ProblemServer(
            made.request_handler,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,
        )
