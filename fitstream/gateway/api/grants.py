"""What a customer lets programs do: read it, take it back."""

from aiohttp import web

from fitstream.client.access import GrantShown
from fitstream.client.data import Items
from fitstream.gateway.api.answers import after, answer, limit, now, page
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.repo import oauth
from fitstream.repo.audit import Subject, record


async def list_grants(request: web.Request) -> web.Response:
    """What the customer lets programs do, newest first."""
    count, position = limit(request), after(request, int)
    async with request.app[REPO].connection() as db:
        number = request[PRINCIPAL].customer_no or 0
        rows = await oauth.list_grants(db, number, now(request), position, count)
    following = rows[-1].family_no if len(rows) == count else None
    return page([_shown(row) for row in rows], following)


async def get_grant(request: web.Request) -> web.Response:
    """One of them; raises NotFound for one that is somebody else's, or over."""
    number, wanted = request[PRINCIPAL].customer_no or 0, request.match_info["grant"]
    async with request.app[REPO].connection() as db:
        return answer(_shown(await oauth.get_grant(db, number, now(request), wanted)))


async def withdraw_grant(request: web.Request) -> web.Response:
    """Takes back what a program may; its tokens fail at once."""
    principal, wanted = request[PRINCIPAL], request.match_info["grant"]
    async with request.app[REPO].transaction() as db:
        found = await oauth.get_grant(db, principal.customer_no or 0, now(request), wanted)
        await oauth.revoke_family(db, found.family_no, "withdrawn")
        subject = Subject("grant", str(found.family_no), principal.customer_no)
        await record(db, principal.actor, "grant.withdrawn", subject)
    return web.Response(status=204)


def _shown(row: oauth.GrantRow) -> GrantShown:
    return GrantShown(
        id=row.id,
        client_id=row.client_id,
        client_name=row.client_name,
        scopes=row.scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


ROUTES = (
    Route(
        "GET", "/v1/me/grants", list_grants, "grants",
        gives=Items[GrantShown], query=("after", "limit"),
        tag="oauth", summary="What programs may do in your name",
    ),
    Route(
        "GET", "/v1/me/grants/{grant}", get_grant, "grant",
        gives=GrantShown, problems=(404,),
        tag="oauth", summary="Read what one program may do in your name",
    ),
    Route(
        "DELETE", "/v1/me/grants/{grant}", withdraw_grant, "withdraw_grant",
        status=204, writes="", problems=(404,),
        tag="oauth", summary="Take back what a program may do",
    ),
)  # fmt: skip
