"""Calls about accounts: registration, mailed links, one's own account, profiles, lists."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from fitstream.client.access import Ended, SessionShown
from fitstream.client.data import Items, LoggedIn
from fitstream.client.http import Api, Call
from fitstream.client.operations import JobAsked
from fitstream.client.paging import every
from fitstream.client.people import (
    Factor,
    FactorMade,
    Joining,
    LinkShown,
    ListVerdict,
    Mailed,
    Profile,
    RecoveryCodes,
    Verified,
)

T = TypeVar("T")
_READ_ATTEMPTS = 3
_LIST_S = 60.0


class AccountCalls:
    """The part of `Client` that is about accounts."""

    _api: Api

    # Registration and links
    async def registration(self, programme: str = "default") -> Joining:
        """Whether anybody may register with a programme."""
        return await self._get("/v1/auth/registration", Joining, {"programme": programme})

    async def register(self, email: str, password: str, zone: str, **fields: Any) -> Mailed:
        """A mail with a link that makes the customer; the same answer for who is known."""
        body = {"email": email, "password": password, "zone": zone, **fields}
        return await self._ask("/v1/auth/register", Mailed, body)

    async def link(self, token: str) -> LinkShown:
        """What a mailed link is for; raises NotFound when it does not work (any more)."""
        return await self._ask("/v1/auth/link", LinkShown, {"token": token})

    async def verify(self, token: str) -> Verified:
        """Confirms an address. Raises NotFound, Conflict(exists)."""
        return await self._ask("/v1/auth/verify", Verified, {"token": token})

    async def ask_reset(self, email: str) -> Mailed:
        """A mail with a link to choose a new password, if there is such an account."""
        return await self._ask("/v1/auth/reset-request", Mailed, {"email": email})

    async def reset(self, token: str, password: str) -> None:
        """A new password by a mailed link. Raises NotFound, Rejected(weak_password)."""
        await self._do("POST", "/v1/auth/reset", {"token": token, "password": password})

    async def accept(self, token: str, password: str) -> Verified:
        """Accepts an invitation. Raises NotFound, Rejected(weak_password)."""
        return await self._ask("/v1/auth/accept", Verified, {"token": token, "password": password})

    async def answer_challenge(self, challenge: str, code: str) -> LoggedIn:
        """Finishes a log-in whose Rejected(second_factor_required) has the challenge in `extra`."""
        body = {"challenge": challenge, "code": code}
        return await self._ask("/v1/auth/second-factor", LoggedIn, body)

    # The own account
    async def change_password(self, old: str, new: str) -> None:
        """Another password; other sessions and all tokens end."""
        await self._do("PUT", "/v1/me/password", {"old": old, "new": new})

    async def change_email(self, email: str, password: str) -> Mailed:
        """Another address, once it has answered."""
        return await self._ask("/v1/me/email", Mailed, {"email": email, "password": password})

    async def log_out_everywhere(self) -> None:
        """Ends every session and token of the account."""
        await self._do("POST", "/v1/me/logout-everywhere", None)

    async def sessions(self) -> list[SessionShown]:
        """Live sessions of the account, the one used last first."""
        kind = Items[SessionShown]
        return await every(lambda after: self._get("/v1/me/sessions", kind, {"after": after}))

    async def session(self, session_id: str) -> SessionShown:
        """One live session of the account; raises NotFound."""
        return await self._get(f"/v1/me/sessions/{quote(session_id, safe='')}", SessionShown)

    async def end_other_sessions(self) -> Ended:
        """Ends every session of the account but this one."""
        answer = await self._api.send(Call("DELETE", "/v1/me/sessions"))
        return msgspec.json.decode(answer.body, type=Ended)

    async def end_session(self, session_id: str) -> None:
        """Ends one session of the account; raises NotFound."""
        await self._do("DELETE", f"/v1/me/sessions/{quote(session_id, safe='')}", None)

    async def second_factor(self) -> Factor:
        """How the second factor of the account stands."""
        return await self._get("/v1/me/second-factor", Factor)

    async def begin_second_factor(self, password: str) -> FactorMade:
        """A new secret, in force after its first code."""
        return await self._ask("/v1/me/second-factor", FactorMade, {"password": password})

    async def confirm_second_factor(self, code: str) -> RecoveryCodes:
        """Puts the secret in force."""
        return await self._ask("/v1/me/second-factor/confirm", RecoveryCodes, {"code": code})

    async def remove_second_factor(self, password: str, code: str) -> None:
        """No second factor any more."""
        body = {"password": password, "code": code}
        await self._do("POST", "/v1/me/second-factor/remove", body)

    async def renew_recovery_codes(self, password: str) -> RecoveryCodes:
        """New recovery codes; the older ones end."""
        path = "/v1/me/second-factor/recovery-codes"
        return await self._ask(path, RecoveryCodes, {"password": password})

    async def take_second_factor(self, account_id: str) -> None:
        """Removes the second factor of somebody else, who lost phone and recovery codes."""
        await self._do("DELETE", f"/v1/staff/{quote(account_id, safe='')}/second-factor", None)

    # Profiles
    async def profile(self, customer_id: str) -> Profile:
        """What a customer told of themselves."""
        return await self._get(f"{_of(customer_id)}/profile", Profile)

    async def replace_profile(self, customer_id: str, zone: str, **fields: Any) -> Profile:
        """Another profile; what is left out is forgotten."""
        return await self._ask(
            f"{_of(customer_id)}/profile", Profile, {"zone": zone, **fields}, "PUT"
        )

    async def picture(self, customer_id: str) -> bytes:
        """The picture as JPEG; raises NotFound when there is none."""
        call = Call("GET", f"{_of(customer_id)}/picture", attempts=_READ_ATTEMPTS)
        return (await self._api.send(call)).body

    async def replace_picture(self, customer_id: str, picture: bytes, content_type: str) -> None:
        """Another picture: JPEG, PNG or WebP. Raises Rejected(bad_picture)."""
        call = Call("PUT", f"{_of(customer_id)}/picture", body=picture, content_type=content_type)
        await self._api.send(call)

    async def remove_picture(self, customer_id: str) -> None:
        """No picture any more."""
        await self._do("DELETE", f"{_of(customer_id)}/picture", None)

    # Bringing customers in
    async def invite(self, customer_id: str) -> str:
        """Mails a link to choose a password; the id of the mail's job."""
        return (await self._ask(f"{_of(customer_id)}/invite", JobAsked, None)).job

    async def import_customers(self, table: bytes, **query: str) -> ListVerdict:
        """The verdict on a CSV of customers; takes `dry_run`, `invite`, `programme`, `zone`."""
        call = Call(
            "POST", "/v1/customers/import", query, table, content_type="text/csv",
            timeout_s=_LIST_S,
        )  # fmt: skip
        return msgspec.json.decode((await self._api.send(call)).body, type=ListVerdict)

    async def export_customers(self) -> bytes:
        """All customers as CSV."""
        call = Call("GET", "/v1/customers/export", timeout_s=_LIST_S)
        return (await self._api.send(call)).body

    async def open_registration(self, programme: str, is_open: bool) -> Joining:
        """Lets people register with a programme, or no more."""
        path = f"/v1/programmes/{quote(programme, safe='')}"
        return await self._ask(path, Joining, {"open_registration": is_open}, "PATCH")

    async def _get(self, path: str, kind: type[T], query: Mapping[str, str] = {}) -> T:
        asked = {name: value for name, value in query.items() if value}
        call = Call("GET", path, asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)

    async def _ask(
        self, path: str, kind: type[T], body: Mapping[str, Any] | None, method: str = "POST"
    ) -> T:
        packed = None if body is None else msgspec.json.encode(body)
        answer = await self._api.send(Call(method, path, body=packed))
        return msgspec.json.decode(answer.body, type=kind)

    async def _do(self, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        packed = None if body is None else msgspec.json.encode(body)
        await self._api.send(Call(method, path, body=packed))


def _of(customer_id: str) -> str:
    return f"/v1/customers/{quote(customer_id, safe='')}"
