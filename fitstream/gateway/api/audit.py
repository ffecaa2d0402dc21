"""The audit log."""

import msgspec
from aiohttp import web

from fitstream.client.access import AuditEntry
from fitstream.client.data import Items
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.keys import REPO
from fitstream.gateway.parameters import unknown
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import audit
from fitstream.repo.audit import ACTIONS, Only
from fitstream.repo.sorts import AUDIT


async def list_entries(request: web.Request) -> web.Response:
    """An administrator of some programmes sees the entries that name one of them."""
    asked = slice_of(request, AUDIT)
    action, customer = (request.query.get(name) or None for name in ("action", "customer"))
    only = Only(within(request), action, customer)
    async with request.app[REPO].connection() as db:
        found = await audit.list_entries(db, only, asked)
    if action and not found.items and asked.after is None and action not in ACTIONS:
        raise unknown("action", ACTIONS)
    items = []
    for row in found.items:
        fields = msgspec.structs.asdict(row)
        items.append(AuditEntry(id=fields.pop("audit_no"), **fields))
    return page_of(items, asked, found.following)


ROUTES = (
    Route(
        "GET",
        "/v1/audit",
        list_entries,
        "audit",
        gives=Items[AuditEntry],
        query=("action", "audit_customer", "audit_sort", "after", "limit"),
        tag="access",
        summary="Who did what, newest first by default",
    ),
)
