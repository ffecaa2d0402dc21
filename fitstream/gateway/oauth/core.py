"""The authorization server: Authlib's, over one request's desk. Asks nobody, waits for nothing."""

import logging
from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc9207 import IssuerParameter

from fitstream.gateway.oauth import grants
from fitstream.gateway.oauth.desk import Desk, Issued
from fitstream.gateway.oauth.records import Owner
from fitstream.gateway.policy import SCOPES
from fitstream.ids import new_secret
from fitstream.settings import Settings

ACCESS_PREFIX = "fst_"


class Request(OAuth2Request):
    """The fields of a form or query.

    TLS ends before us, where a deployment has it; the core's own look at the address would only
    see the last hop, so it is told what the public address promises.
    """

    def __init__(self, method: str, fields: dict[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, "https://fitstream.invalid/", headers=dict(headers))
        self._fields = fields
        self.payload = BasicOAuth2Payload(fields)

    @property
    def form(self) -> dict[str, str]:
        return self._fields

    @property
    def args(self) -> dict[str, str]:
        return self._fields


class Answer:
    """What the core answers; `location` where it sends the browser on."""

    def __init__(self, status: int, body: Any, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers)

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")

    @location.setter
    def location(self, value: str) -> None:
        self.headers["Location"] = value


class _Issuer(IssuerParameter):
    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        return self._issuer


class Core(AuthorizationServer):
    """All grants and endpoints for one request."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        logging.getLogger("authlib").setLevel(logging.INFO)  # its debug lines hold whole tokens
        self.desk = desk
        self.issuer = issuer_of(desk.settings)
        make = BearerTokenGenerator(
            _access_token, _refresh_token, int(desk.settings.oauth_access_s)
        )
        self.register_token_generator("default", make)
        self.register_grant(grants.CodeGrant, [grants.Pkce(required=True)])
        for grant in (grants.RefreshGrant, grants.ClientGrant, grants.DeviceGrant):
            self.register_grant(grant)
        for endpoint in (grants.DeviceEndpoint, grants.Revocation, grants.Introspection):
            self.register_endpoint(endpoint)
        self.register_extension(_Issuer(self.issuer))

    def query_client(self, client_id: str) -> Any:
        client = self.desk.client
        return client if client is not None and client.get_client_id() == client_id else None

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        owner = request.user if isinstance(request.user, Owner) else None
        scopes = token.get("scope", "").split()
        issued = Issued(token["access_token"], token.get("refresh_token"), scopes, owner)
        self.desk.issued = issued

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        return Answer(status, body, headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


def client_id_of(fields: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    """Who says it is asking: by HTTP Basic, or by a field."""
    by_header, _ = extract_basic_authorization(headers)
    return by_header or fields.get("client_id")


def issuer_of(settings: Settings) -> str:
    """The name of this authorization server: the public address of the API."""
    return (settings.public_url or settings.gateway_url).rstrip("/")


def _access_token(**_: Any) -> str:
    return f"{ACCESS_PREFIX}{new_secret()}"


def _refresh_token(**_: Any) -> str:
    return f"fsr_{new_secret()}"
