"""The audit log: who did what to whom. It names nobody and shows no value."""

import msgspec
from aiohttp import web

from fitstream.client.access import AuditEntry
from fitstream.client.data import Items
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api import audit as views
from fitstream.gateway.view.templates import html
from fitstream.repo.audit import ACTIONS
from fitstream.repo.sorts import AUDIT

_SHOWN = "50"
_PATH = "/admin/audit"


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log, and what it was filtered by."""

    entries: list[AuditEntry]
    actions: list[str]
    action: str
    customer: str
    sorting: Sorting
    first: str | None
    following: str | None


async def show_audit(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The log, of one kind of action or about one customer if asked so."""
    action = request.query.get("action", "")
    action = action if action in ACTIONS else ""
    customer = request.query.get("customer", "").strip()[:64]
    place = request.query.get("after", "")
    asked = {"action": action, "customer": customer}
    sorting = sorting_of(request, AUDIT, _PATH, asked)
    asked["sort"] = sorting.asked
    found = await reads.ask(
        request, views.list_entries, Items[AuditEntry], after=place, limit=_SHOWN, **asked
    )
    page = AuditPage(
        entries=found.items,
        actions=sorted(ACTIONS),
        action=action,
        customer=customer,
        sorting=sorting,
        first=href(_PATH, **asked) if place else None,
        following=href(_PATH, **asked, after=found.next) if found.next else None,
    )
    return html(request, "admin/audit.html", viewer.shell("people"), page)
