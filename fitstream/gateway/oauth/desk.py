"""What one request to the OAuth core may see, and what the core decided.

The core is synchronous and never asks the database: everything it may need is loaded and locked
before, and what it decides is stored after, in one transaction. A refusal is stored, too: a token
that comes back ends its family although the answer is an error.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from fitstream.errors import TooMany, Unavailable
from fitstream.gateway.oauth.records import Client, Code, Owner, Token, Waiting
from fitstream.ids import hashed
from fitstream.repo import oauth
from fitstream.repo.audit import Actor, Subject, record
from fitstream.repo.database import Db
from fitstream.repo.oauth import CodeRow, DeviceCodeRow, NewFamily, NewToken
from fitstream.repo.sessions import Reason
from fitstream.settings import Settings

SLOWER_S = 5  # RFC 8628, 3.5
WAITING_MAX = 10_000  # devices of one client at a time
WAITING_WAIT_S = 60.0


class Issued(NamedTuple):
    """Tokens that the core made, and for whom; without an owner for the client itself."""

    access: str
    refresh: str | None
    scopes: list[str]
    owner: Owner | None


class Desk:
    """One request's view: rows before, decisions after."""

    def __init__(self, now: datetime, settings: Settings) -> None:
        self.now = now
        self.settings = settings
        self.client: Client | None = None
        self.code: Code | None = None
        self.token: Token | None = None
        self.waiting: Waiting | None = None
        self.new_code: CodeRow | None = None
        self.new_waiting: DeviceCodeRow | None = None
        self.issued: Issued | None = None
        self.exchanged: Token | None = None
        self.ended: tuple[int, Reason] | None = None
        self.ended_access: bytes | None = None
        self.interval_s: int | None = None

    async def load(self, db: Db, client_id: str | None, form: dict[str, str]) -> None:
        """Reads what the request names; what is exchanged is locked."""
        row = await oauth.find_client(db, client_id) if client_id else None
        self.client = Client(row) if row is not None and row.disabled_at is None else None
        if "code" in form:
            code = await oauth.lock_code(db, hashed(form["code"]))
            self.code = Code(code) if code else None
        if "device_code" in form:
            waiting = await oauth.lock_device_code(db, hashed(form["device_code"]))
            self.waiting = Waiting(waiting, self.now) if waiting else None
        text = form.get("refresh_token") or form.get("token")
        if text:
            token = await oauth.lock_token(db, hashed(text))
            self.token = Token(token, self.now) if token else None

    async def store(self, db: Db) -> None:
        """Writes what was decided."""
        if self.new_code is not None:
            await oauth.insert_code(db, self.new_code)
        if self.new_waiting is not None:
            await _store_waiting(db, self.new_waiting, self.now)
        if self.ended is not None and await oauth.revoke_family(db, *self.ended):
            is_asked = self.ended[1] == "client_revoked"
            await self._note(db, "grant.revoked" if is_asked else "grant.reused", self.ended[0])
        if self.ended_access is not None and self.token is not None:
            await oauth.revoke_token(db, self.ended_access)
            await self._note(db, "grant.token_revoked", self.token.row.family_no)
        if self.waiting is not None and self.interval_s is not None:
            sha = self.waiting.row.device_code_sha
            await oauth.note_poll(db, sha, self.now, self.interval_s)
        if self.issued is not None and self.client is not None:
            await self._store_issued(db, self.issued, self.client)

    async def _note(self, db: Db, action: str, family_no: int) -> None:
        """That the asking client has ended what a customer granted it, on purpose or not."""
        row = self.token.row if self.token else self.code.row if self.code else None
        client_id = self.client.row.id if self.client else ""
        subject = Subject("grant", str(family_no), row.customer_no if row else None)
        await record(db, Actor("program", None, client_id), action, subject)

    async def _store_issued(self, db: Db, issued: Issued, client: Client) -> None:
        family_no, ends_at = await self._family(db, issued, client)
        access_ends = self.now + timedelta(seconds=self.settings.oauth_access_s)
        access = self._new_token("access", issued.access, family_no, issued.scopes)
        await oauth.insert_token(db, _ending(access, min(access_ends, ends_at)))
        if issued.refresh is None:
            return
        idle_ends = self.now + timedelta(seconds=self.settings.oauth_refresh_idle_s)
        scopes = self.exchanged.row.scopes if self.exchanged else issued.scopes
        refresh = self._new_token("refresh", issued.refresh, family_no, scopes)
        await oauth.insert_token(db, _ending(refresh, min(idle_ends, ends_at)))

    async def _family(self, db: Db, issued: Issued, client: Client) -> tuple[int, datetime]:
        """Number and end of the grant: that of the exchanged token, or a new one."""
        if self.exchanged is not None:
            row = self.exchanged.row
            await oauth.use_token(db, row.token_sha, self.now)
            return row.family_no, row.family_expires_at
        lifetime_s = self.settings.oauth_refresh_absolute_s
        if issued.refresh is None:
            lifetime_s = self.settings.oauth_access_s
        ends_at = self.now + timedelta(seconds=lifetime_s)
        owner = issued.owner
        new = NewFamily(
            client_no=client.row.client_no,
            account_no=owner.account_no if owner else None,
            customer_no=owner.customer_no if owner else None,
            device_no=owner.device_no if owner else None,
            scopes=issued.scopes,
            created_at=self.now,
            expires_at=ends_at,
        )
        family_no = await oauth.insert_family(db, new)
        if self.code is not None:
            await oauth.use_code(db, self.code.row.code_sha, self.now, family_no)
        if self.waiting is not None:
            await oauth.use_device_code(db, self.waiting.row.device_code_sha)
        return family_no, ends_at

    def _new_token(self, kind: str, text: str, family_no: int, scopes: list[str]) -> NewToken:
        return NewToken(
            token_sha=hashed(text),
            family_no=family_no,
            kind=kind,
            scopes=scopes,
            parent_sha=self.exchanged.row.token_sha if self.exchanged else None,
            created_at=self.now,
            expires_at=self.now,
        )


async def _store_waiting(db: Db, waiting: DeviceCodeRow, now: datetime) -> None:
    if await oauth.count_waiting(db, waiting.client_no, now) >= WAITING_MAX:
        raise TooMany(WAITING_WAIT_S)
    if not await oauth.insert_device_code(db, waiting):
        raise Unavailable("oauth", "the short code is taken; ask again", 1.0)


def _ending(token: NewToken, at: datetime) -> NewToken:
    return NewToken(
        token_sha=token.token_sha,
        family_no=token.family_no,
        kind=token.kind,
        scopes=token.scopes,
        parent_sha=token.parent_sha,
        created_at=token.created_at,
        expires_at=at,
    )
