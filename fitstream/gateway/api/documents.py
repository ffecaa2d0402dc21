"""The API described: the OpenAPI document for programs, a page of it for people."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fitstream.gateway.keys import DOCUMENT
from fitstream.gateway.routes import Route
from fitstream.gateway.view.templates import Shell, html

_HEADERS = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}


async def show_document(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document of this gateway; public and cacheable."""
    body = request.app[DOCUMENT].text.encode()
    return web.Response(body=body, content_type="application/json", headers=_HEADERS)


async def show_page(request: web.Request) -> web.Response:
    """The same for people: every operation, its parameters, bodies and answers."""
    shell = Shell(section="docs", now=datetime.now(UTC))
    return html(request, "docs/reference.html", shell, request.app[DOCUMENT].reference)


ROUTES = (
    Route(
        "GET", "/v1/openapi.json", show_document, "openapi",
        gives=dict[str, Any], tag="system", summary="Read this document",
    ),
    Route(
        "GET", "/docs", show_page, "docs",
        writes="text/html", is_tolerant=True, tag="system", summary="Read this document as a page",
    ),
)  # fmt: skip
