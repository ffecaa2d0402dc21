"""Calls about staff, programs, OAuth grants and the audit log."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from fitstream.client.access import (
    AuditEntry,
    Consent,
    Decided,
    GrantShown,
    OAuthClient,
    OAuthClientMade,
    ProgramKey,
    ProgramKeyMade,
    Staff,
    StaffMade,
)
from fitstream.client.data import Items
from fitstream.client.http import Api, Call
from fitstream.client.paging import every

T = TypeVar("T")
_READ_ATTEMPTS = 3


class AccessCalls:
    """The part of `Client` that is about who may what."""

    _api: Api

    # Grants of the own account
    async def grants(self) -> list[GrantShown]:
        """What programs may do in the customer's name, newest first."""
        kind = Items[GrantShown]
        return await every(lambda after: self._look("/v1/me/grants", kind, after=after))

    async def grant(self, grant_id: str) -> GrantShown:
        """What one program may do; raises NotFound."""
        return await self._look(f"/v1/me/grants/{_quoted(grant_id)}", GrantShown)

    async def withdraw_grant(self, grant_id: str) -> None:
        """Takes one back; its tokens end. Raises NotFound."""
        await self._api.send(Call("DELETE", f"/v1/me/grants/{_quoted(grant_id)}"))

    # What a program asks of the customer
    async def consent(self, query: Mapping[str, str]) -> Consent:
        """What the query of the authorization page asks. Raises Rejected(bad_authorization)."""
        return await self._look("/v1/oauth/authorize", Consent, **query)

    async def decide(self, query: str, approve: bool, **fields: Any) -> Decided:
        """Where the browser goes with the customer's yes or no."""
        body = {"query": query, "approve": approve, **fields}
        return await self._tell("POST", "/v1/oauth/authorize", Decided, body)

    async def device_consent(self, user_code: str) -> Consent:
        """What the device behind a short code asks; raises NotFound."""
        return await self._look("/v1/oauth/device", Consent, user_code=user_code)

    async def decide_device(self, user_code: str, approve: bool) -> None:
        """The customer's yes or no to a device; raises NotFound."""
        body = msgspec.json.encode({"user_code": user_code, "approve": approve})
        await self._api.send(Call("POST", "/v1/oauth/device/decision", body=body))

    # Staff
    async def staff(self, after: str = "", search: str = "", sort: str = "") -> Items[Staff]:
        """A page of the staff; the search is for how an e-mail begins."""
        return await self._look("/v1/staff", Items[Staff], **_listed(after, search, sort))

    async def create_staff(self, email: str, role: str, **fields: Any) -> StaffMade:
        """A new account of the staff; raises Conflict(exists)."""
        return await self._tell(
            "POST", "/v1/staff", StaffMade, {"email": email, "role": role, **fields}
        )

    async def change_staff(self, account_id: str, **fields: Any) -> Staff:
        """New rights, or disabled; its sessions end. Raises Conflict(own_account)."""
        return await self._tell("PATCH", f"/v1/staff/{_quoted(account_id)}", Staff, fields)

    # Programs
    async def keys(self, after: str = "", search: str = "", sort: str = "") -> Items[ProgramKey]:
        """A page of programs' keys; the search is for how a name begins."""
        return await self._look("/v1/keys", Items[ProgramKey], **_listed(after, search, sort))

    async def key(self, key_id: str) -> ProgramKey:
        """One program's key, without its secret; raises NotFound."""
        return await self._look(f"/v1/keys/{_quoted(key_id)}", ProgramKey)

    async def create_key(self, name: str, scopes: Sequence[str], **fields: Any) -> ProgramKeyMade:
        """A new key, shown once."""
        body = {"name": name, "scopes": list(scopes), **fields}
        return await self._tell("POST", "/v1/keys", ProgramKeyMade, body)

    async def revoke_key(self, key_id: str) -> None:
        """Ends a program's key; raises NotFound."""
        await self._api.send(Call("DELETE", f"/v1/keys/{_quoted(key_id)}"))

    async def oauth_clients(
        self, after: str = "", search: str = "", sort: str = ""
    ) -> Items[OAuthClient]:
        """A page of OAuth clients; the search is for how a name begins."""
        kind = Items[OAuthClient]
        return await self._look("/v1/oauth/clients", kind, **_listed(after, search, sort))

    async def create_oauth_client(self, name: str, **fields: Any) -> OAuthClientMade:
        """Registers an OAuth client; raises Rejected(bad_client)."""
        body = {"name": name, **fields}
        return await self._tell("POST", "/v1/oauth/clients", OAuthClientMade, body)

    async def disable_oauth_client(self, client_id: str, disabled: bool = True) -> OAuthClient:
        """Ends all that was granted to it, or lets it ask again."""
        path = f"/v1/oauth/clients/{_quoted(client_id)}"
        return await self._tell("PATCH", path, OAuthClient, {"disabled": disabled})

    async def new_oauth_secret(self, client_id: str) -> OAuthClientMade:
        """A new secret, shown once; the old one ends. Raises Conflict(public_client)."""
        path = f"/v1/oauth/clients/{_quoted(client_id)}/secret"
        return await self._tell("POST", path, OAuthClientMade, {})

    async def audit(
        self, action: str = "", customer: str = "", after: str = "", sort: str = ""
    ) -> Items[AuditEntry]:
        """A page of the audit log, newest first unless sorted otherwise."""
        query = {"action": action, "customer": customer, "after": after, "sort": sort}
        return await self._look("/v1/audit", Items[AuditEntry], **query)

    async def _look(self, path: str, kind: type[T], **query: str) -> T:
        asked = {name: value for name, value in query.items() if value}
        call = Call("GET", path, asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)

    async def _tell(self, method: str, path: str, kind: type[T], body: dict[str, Any]) -> T:
        answer = await self._api.send(Call(method, path, body=msgspec.json.encode(body)))
        return msgspec.json.decode(answer.body, type=kind)


def _listed(after: str, search: str, sort: str) -> dict[str, str]:
    return {"limit": "100", "after": after, "search": search, "sort": sort}


def _quoted(text: str) -> str:
    return quote(text, safe="")
