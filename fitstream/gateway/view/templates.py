"""Finds and renders the templates: a frozen context in, a page with its headers out."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp_jinja2
import jinja2
import msgspec
from aiohttp import web

from fitstream.gateway.view import words
from fitstream.gateway.view.assets import ASSETS, add_assets, asset_url
from fitstream.gateway.view.spoken import spoken

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_IN_URIS: Final = "%/:?#[]@!$&'()*+,;=~"  # what an address may hold beside letters, RFC 3986


class Shell(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds a page: where we are, who looks, and the token of its forms."""

    section: str = ""
    email: str = ""
    csrf: str = ""
    now: datetime
    zone: str | None = None
    role: str = ""
    may: frozenset[str] = frozenset()
    """Names of the administrators' pages and forms that who looks may use."""


def templates_dir() -> Path:
    """The folder of the templates: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent.parent.parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def setup_templates(app: web.Application) -> None:
    """Prepares rendering and assets; templates see filters and their context, nothing else."""
    add_assets(app)
    assets = app[ASSETS]
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(templates_dir()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
        default_helpers=False,
        filters=filters(),
    )
    aiohttp_jinja2.get_env(app).globals["asset"] = lambda path: asset_url(assets, path)


def filters() -> dict[str, Any]:
    """Words for templates, by the name they have there."""
    names = (
        "number", "share", "count_of", "day_of", "long_day", "days_between", "clock_of", "in_utc",
        "machine_time", "span_of", "ago", "took", "week_of", "tone", "plain", "job_kind", "metric",
        "unit", "reason", "capital", "slot_in",
    )  # fmt: skip
    return {name: getattr(words, name) for name in names} | {"spoken": spoken}


def html(
    request: web.Request, template: str, shell: Shell, page: object, status: int = 200
) -> web.Response:
    """The rendered page with the headers of 5-security: no inline, no framing, no cache."""
    context = {"shell": shell, "page": page}
    text = aiohttp_jinja2.render_string(template, request, context)
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def see(location: str) -> web.Response:
    """303: what a form answers, so that a reload repeats nothing.

    What no header may hold is written as an address writes it: a part of `location` may be a
    stranger's.
    """
    address = quote(location, _IN_URIS, errors="replace")
    return web.Response(status=303, headers={"Location": address, **HEADERS})
