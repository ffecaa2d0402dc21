"""`fitstream oauth-client`: registers a program over the API."""

import asyncio
from typing import Any

import msgspec

from fitstream.client import open_client

_REFRESH = "refresh_token"
_FOR_ITSELF = "client_credentials"


def register(api: tuple[str, str], *, grants: list[str], **wanted: Any) -> str:
    """The new client as JSON, with its secret. Raises Rejected(bad_client), NotFound(programme).

    Whoever acts for a customer may refresh.
    """
    if set(grants) - {_FOR_ITSELF}:
        grants = [*grants, _REFRESH]
    return asyncio.run(_register(api, grants, wanted))


async def _register(api: tuple[str, str], grants: list[str], wanted: dict[str, Any]) -> str:
    async with open_client(*api) as admin:
        made = await admin.create_oauth_client(
            wanted["name"],
            is_confidential=wanted["confidential"],
            grants=grants,
            scopes=list(wanted["scope"]),
            redirect_uris=list(wanted["redirect"]),
            programmes=list(wanted["programme"]) or None,
        )
    return msgspec.json.encode(made).decode()
