"""`Strict-Transport-Security` on every answer, where the public address is https (RFC 6797).

Settings decide, as they do for cookies: what a request says of itself is a stranger's word, and TLS
ends before us.
"""

from typing import Final

from aiohttp import web

from fitstream.settings import Settings

HSTS: Final = "max-age=31536000; includeSubDomains"
_NAME: Final = "Strict-Transport-Security"


def add_hsts(app: web.Application, settings: Settings) -> None:
    """Redirects, refusals, files and the API's answers have it, too."""
    if settings.public_url.startswith("https://"):
        app.on_response_prepare.append(_promise)


async def _promise(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[_NAME] = HSTS
