"""The audit log, newest first."""

import msgspec
from aiohttp import web

from fitstream.client.access import AuditEntry
from fitstream.client.data import Items
from fitstream.gateway.api.answers import after, limit, page
from fitstream.gateway.keys import REPO
from fitstream.gateway.parameters import unknown
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import audit
from fitstream.repo.audit import ACTIONS, Only


async def list_entries(request: web.Request) -> web.Response:
    """An administrator of some programmes sees the entries that name one of them."""
    count, position = limit(request), after(request, int)
    action, customer = (request.query.get(name) or None for name in ("action", "customer"))
    only = Only(within(request), action, customer)
    async with request.app[REPO].connection() as db:
        rows = await audit.list_entries(db, position, only, count)
    if action and not rows and position is None and action not in ACTIONS:
        raise unknown("action", ACTIONS)
    items = []
    for row in rows:
        fields = msgspec.structs.asdict(row)
        items.append(AuditEntry(id=fields.pop("audit_no"), **fields))
    return page(items, rows[-1].audit_no if len(rows) == count else None)


ROUTES = (
    Route(
        "GET",
        "/v1/audit",
        list_entries,
        "audit",
        gives=Items[AuditEntry],
        query=("action", "audit_customer", "after", "limit"),
        tag="access",
        summary="Who did what",
    ),
)
