"""One request to the OAuth core from rows to rows, in one transaction."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from fitstream.gateway.oauth.core import Answer, Core, Request, client_id_of
from fitstream.gateway.oauth.desk import Desk
from fitstream.gateway.oauth.records import Client, Owner
from fitstream.gateway.principal import Principal
from fitstream.ids import hashed
from fitstream.repo import oauth
from fitstream.repo.database import Db, Repo
from fitstream.settings import Settings

_VALUE_MAX = 2048
_FREE = frozenset({"state"})  # given back as it came; all else may stand in an error's sentence


Beside = Callable[[Db, Desk], Awaitable[None]]
"""What is written in the transaction of a decision."""


class Asked(NamedTuple):
    """A form or query, and the header that may name the client."""

    method: str
    fields: dict[str, str]
    authorization: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What the core reads of the headers."""
        return {"Authorization": self.authorization} if self.authorization else {}


class Office(NamedTuple):
    """Where requests to the core are answered."""

    repo: Repo
    settings: Settings
    now: datetime

    async def token(self, asked: Asked) -> Answer:
        """The token endpoint."""
        return await self._run(asked, lambda core, request: core.create_token_response(request))

    async def endpoint(self, name: str, asked: Asked) -> Answer:
        """Revocation, introspection or device authorization."""
        return await self._run(
            asked, lambda core, request: core.create_endpoint_response(name, request)
        )

    async def consent(self, asked: Asked) -> Core:
        """The core with a valid authorization request on its desk; raises OAuth2Error."""
        check_fields(asked.fields)
        async with self.repo.connection() as db:
            core = await self._core(db, asked)
        core.get_consent_grant(_request(asked), None)
        return core

    async def decide(self, asked: Asked, owner: Owner | None, beside: Beside) -> Answer:
        """Where the browser goes: with a code of `owner`, or with access_denied of nobody.

        `beside` runs in the same transaction once a code is stored.
        """

        def respond(core: Core, request: Request) -> Answer:
            grant = core.get_consent_grant(request, owner)
            answer: Answer = core.create_authorization_response(request, owner, grant)
            return answer

        return await self._run(asked, respond, beside)

    async def _run(
        self,
        asked: Asked,
        respond: Callable[[Core, Request], Answer],
        beside: Beside | None = None,
    ) -> Answer:
        try:
            check_fields(asked.fields)
        except OAuth2Error as error:
            return Answer(*error())
        async with self.repo.transaction() as db:
            core = await self._core(db, asked)
            answer = respond(core, _request(asked))
            await core.desk.store(db)
            if beside is not None and core.desk.new_code is not None:
                await beside(db, core.desk)
        return answer

    async def _core(self, db: object, asked: Asked) -> Core:
        desk = Desk(self.now, self.settings)
        await desk.load(db, client_id_of(asked.fields, asked.headers), asked.fields)
        return Core(desk)


async def shown_client(repo: Repo, asked: Asked) -> str | None:
    """Id of the client whose secret was shown; None where none was, or a wrong one."""
    by_header = extract_basic_authorization(asked.headers)
    name = by_header[0] or asked.fields.get("client_id")
    secret = by_header[1] or asked.fields.get("client_secret")
    if not name or not secret or not (name.isascii() and name.isprintable()):
        return None
    async with repo.connection() as db:
        row = await oauth.find_client(db, name)
    return name if row is not None and Client(row).check_client_secret(secret) else None


async def find_bearer(repo: Repo, text: str, now: datetime) -> Principal | None:
    """Whom an access token stands for, unless it ended. Asked at every use: nothing is cached, so
    a revocation holds on every process with its commit."""
    async with repo.connection() as db:
        row = await oauth.find_token(db, hashed(text))
    if row is None or row.kind != "access" or row.revoked:
        return None
    if min(row.expires_at, row.family_expires_at) <= now:
        return None
    programmes = None if row.programmes is None else frozenset(row.programmes)
    return Principal(
        role="program" if row.customer_id is None else "customer",
        account_id=row.account_id,
        customer_id=row.customer_id,
        email=row.email,
        account_no=row.account_no,
        customer_no=row.customer_no,
        device_no=row.device_no,
        programmes=programmes if row.customer_id is None else None,
        scopes=frozenset(row.scopes),
        client_id=row.client_id,
    )


def check_fields(fields: Mapping[str, str]) -> None:
    """Raises InvalidRequestError for what no parameter may hold (RFC 6749, appendix A)."""
    for name, value in fields.items():
        is_plain = value.isascii() and value.isprintable()
        if (
            len(value) > _VALUE_MAX
            or not is_plain
            or (name not in _FREE and set(value) & {'"', "\\"})
        ):
            raise InvalidRequestError("A parameter is too long or has characters it may not have.")


def _request(asked: Asked) -> Request:
    return Request(asked.method, asked.fields, asked.headers)
