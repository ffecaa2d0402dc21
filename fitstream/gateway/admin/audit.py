"""The audit log: who did what to whom, newest first. It names nobody and shows no value."""

from urllib.parse import urlencode

import msgspec
from aiohttp import web

from fitstream.client.access import AuditEntry
from fitstream.client.data import Items
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import audit as views
from fitstream.gateway.view.templates import html
from fitstream.repo.audit import ACTIONS

_SHOWN = "50"
_PATH = "/admin/audit"


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log, and what it was filtered by."""

    entries: list[AuditEntry]
    actions: list[str]
    action: str
    customer: str
    first: str | None
    following: str | None


async def show_audit(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The log, of one kind of action or about one customer if asked so."""
    action = request.query.get("action", "")
    action = action if action in ACTIONS else ""
    customer = request.query.get("customer", "").strip()[:64]
    place = request.query.get("after", "")
    asked = {"action": action, "customer": customer}
    found = await reads.ask(
        request, views.list_entries, Items[AuditEntry], after=place, limit=_SHOWN, **asked
    )
    page = AuditPage(
        entries=found.items,
        actions=sorted(ACTIONS),
        action=action,
        customer=customer,
        first=_href(asked) if place else None,
        following=_href({**asked, "after": found.next}) if found.next else None,
    )
    return html(request, "admin/audit.html", viewer.shell("people"), page)


def _href(query: dict[str, str]) -> str:
    given = {name: text for name, text in query.items() if text}
    return f"{_PATH}?{urlencode(given)}" if given else _PATH
