"""A program of somebody else, as OAuth sees it: for tests against a running gateway."""

import base64
import secrets
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import ClientSession
from yarl import URL

from fitstream.client import Client
from fitstream.client.data import Customer
from tests.real import new_wearer

PASSWORD = "a quiet long walk"
BACK = "https://coach.example.org/back"
CODE_GRANTS = ["authorization_code", "refresh_token"]
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Answer(NamedTuple):
    """Status and JSON body."""

    status: int
    body: dict[str, Any]


class LoggedIn(NamedTuple):
    """A customer with the token of a session."""

    customer: Customer
    email: str
    token: str


async def call(
    http: ClientSession, method: str, path: str | URL, token: str = "", json: Any = None
) -> Answer:
    """A call of the API."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.request(
        method, path, json=json, headers=headers, allow_redirects=False
    ) as response:
        raw = await response.read()
        body = await response.json(content_type=None) if raw else {}
        return Answer(response.status, body)


async def send(
    http: ClientSession, path: str, secret: tuple[str, str] | None, **form: str
) -> Answer:
    """A form to the protocol's own routes; a confidential client shows its secret as Basic."""
    headers = {}
    if secret:
        plain = ":".join(secret).encode()
        headers["Authorization"] = f"Basic {base64.b64encode(plain).decode()}"
    async with http.post(f"/v1/oauth/{path}", data=form, headers=headers) as response:
        return Answer(response.status, await response.json(content_type=None))


async def logged_in(admin: Client, **fields: Any) -> LoggedIn:
    """A new customer who has just logged in."""
    wearer = await new_wearer(admin, **fields)
    email = f"{wearer.customer.id}@example.org"
    await admin.set_login(wearer.customer.id, email, PASSWORD)
    session = await admin.as_who("").login(email, PASSWORD)
    return LoggedIn(wearer.customer, email, session.token)


class Program:
    """A registered client."""

    def __init__(self, http: ClientSession, made: dict[str, Any]) -> None:
        self._http = http
        self.id: str = made["id"]
        secret = made["client_secret"]
        self.secret = (self.id, secret) if secret else None

    async def send(self, path: str, **form: str) -> Answer:
        """A form as this client."""
        fields = form if self.secret else {"client_id": self.id, **form}
        return await send(self._http, path, self.secret, **fields)

    def query(self, challenge: str, **more: str) -> str:
        """The query of the authorization page."""
        base = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": BACK,
            "scope": "data:read customers:read",
            "state": "x y/z",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return urlencode({name: text for name, text in (base | more).items() if text})

    async def code(self, who: LoggedIn, verifier: str, **body: Any) -> str:
        """The code of a customer who agrees."""
        wanted = {"query": self.query(challenge_of(verifier)), "approve": True, **body}
        said = await call(self._http, "POST", "/v1/oauth/authorize", who.token, wanted)
        assert said.status == 200, said
        return back(said.body["redirect_to"])["code"]

    async def tokens(self, who: LoggedIn, **body: Any) -> dict[str, Any]:
        """Access and refresh token of a customer who agrees."""
        verifier = secrets.token_urlsafe(48)
        code = await self.code(who, verifier, **body)
        given = await self.send(
            "token", grant_type="authorization_code", code=code, redirect_uri=BACK,
            code_verifier=verifier,
        )  # fmt: skip
        assert given.status == 200, given
        return given.body

    async def refresh(self, refresh_token: str, **form: str) -> Answer:
        """New tokens for a refresh token."""
        return await self.send(
            "token", grant_type="refresh_token", refresh_token=refresh_token, **form
        )


async def register(http: ClientSession, admin_key: str, **fields: Any) -> Program:
    """A new client: public, with code and refresh, unless `fields` say otherwise."""
    base: dict[str, Any] = {
        "name": "Coach",
        "is_confidential": False,
        "grants": CODE_GRANTS,
        "scopes": ["customers:read", "data:read", "profile"],
        "redirect_uris": [BACK],
    }
    made = await call(http, "POST", "/v1/oauth/clients", admin_key, base | fields)
    assert made.status == 201, made
    return Program(http, made.body)


def challenge_of(verifier: str) -> str:
    """PKCE S256."""
    digest = sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def back(address: str) -> dict[str, str]:
    """What the program is told in the address it is called back with."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
