"""The four grants and three endpoints: Authlib decides, these say where things are and what of the
optional is forbidden here.

Stricter than the core's defaults, after RFC 9700: PKCE with S256 for every client, redirect
addresses named and compared exactly, a new refresh token each time, a code or refresh token that
comes back ends everything that came of it.
"""

from datetime import timedelta
from typing import Any, cast

from authlib.oauth2.rfc6749 import (
    InvalidScopeError,
    OAuth2Request,
    UnauthorizedClientError,
    grants,
)
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant

from fitstream.gateway.oauth.desk import SLOWER_S, Desk
from fitstream.gateway.oauth.records import DEVICE, Client, Code, Owner, Token, Waiting
from fitstream.ids import hashed, new_secret
from fitstream.repo.oauth import CodeRow, DeviceCodeRow
from fitstream.settings import pages_url

CODE_S = 60
DEVICE_S = 600
TWO_TABS_S = 10  # the parent within this time is a second tab, not a thief
_AUTH = ["client_secret_basic", "client_secret_post", "none"]


def _desk(part: Any) -> Desk:
    return cast("Desk", part.server.desk)


class Pkce(CodeChallenge):
    """S256 or nothing, for confidential clients too."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge with code_challenge_method=S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class CodeGrant(grants.AuthorizationCodeGrant):
    """Authorization code, for public and confidential clients."""

    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH

    def generate_authorization_code(self) -> str:
        return f"fsc_{new_secret()}"

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        desk, owner, client = _desk(self), cast("Owner", request.user), cast("Client", self.client)
        desk.new_code = CodeRow(
            code_sha=hashed(code),
            client_no=client.row.client_no,
            account_no=owner.account_no,
            customer_no=owner.customer_no,
            device_no=owner.device_no,
            redirect_uri=request.payload.redirect_uri,
            scopes=request.scope.split(),
            code_challenge=request.payload.data["code_challenge"],
            expires_at=desk.now + timedelta(seconds=CODE_S),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:  # noqa: ARG002
        """None for a code that is another client's, too old, or used; that ends its tokens."""
        desk = _desk(self)
        found = desk.code
        if found is None or found.row.client_no != client.row.client_no:
            return None
        if found.row.used_at is not None:
            if found.row.family_no is not None:
                desk.ended = (found.row.family_no, "code_reuse")
            return None
        return found if found.row.expires_at > desk.now else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It stays, marked as used, so that a second use is seen."""

    def authenticate_user(self, authorization_code: Code) -> Owner:
        row = authorization_code.row
        return Owner(row.account_no, row.customer_no, row.device_no)


class RefreshGrant(grants.RefreshTokenGrant):
    """A new access and a new refresh token for the old one, once."""

    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:  # noqa: ARG002
        desk = _desk(self)
        token = desk.token
        if token is None or token.row.kind != "refresh":
            return None
        used_at = token.row.used_at
        if used_at is not None:
            is_second_tab = desk.now - used_at <= timedelta(seconds=TWO_TABS_S)
            if token.row.is_old or not is_second_tab:
                desk.ended = (token.row.family_no, "refresh_reuse")
            return None
        return None if token.is_revoked() or token.is_expired() else token

    def authenticate_user(self, refresh_token: Token) -> Token:
        return refresh_token

    def revoke_old_credential(self, refresh_token: Token) -> None:
        _desk(self).exchanged = refresh_token


class ClientGrant(grants.ClientCredentialsGrant):
    """A client for itself: it must have a secret."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class DeviceGrant(DeviceCodeGrant):
    """A device whose person says yes elsewhere."""

    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH

    def query_device_credential(self, device_code: str) -> Waiting | None:  # noqa: ARG002
        found = _desk(self).waiting
        return None if found is None or found.row.state == "used" else found

    def query_user_grant(self, user_code: str) -> tuple[Owner, bool] | None:  # noqa: ARG002
        waiting = _desk(self).waiting
        if waiting is None or waiting.row.state == "pending":
            return None
        row = waiting.row
        owner = Owner(row.account_no or 0, row.customer_no or 0, row.device_no)
        return owner, row.state == "approved" and row.account_no is not None

    def should_slow_down(self, credential: Waiting) -> bool:
        desk, row = _desk(self), credential.row
        too_soon = row.polled_at is not None and desk.now - row.polled_at < timedelta(
            seconds=row.interval_s
        )
        desk.interval_s = row.interval_s + SLOWER_S if too_soon else row.interval_s
        return too_soon


class DeviceEndpoint(DeviceAuthorizationEndpoint):
    """Gives a device its two codes."""

    EXPIRES_IN = DEVICE_S

    def generate_device_code(self) -> str:
        return f"fsd_{new_secret()}"

    def get_verification_uri(self) -> str:
        return f"{pages_url(_desk(self).settings)}/oauth/device"

    def save_device_credential(
        self, client_id: str, scope: str | None, data: dict[str, Any]
    ) -> None:
        desk = _desk(self)
        client = desk.client
        if client is None or not client.check_grant_type(DEVICE):
            raise UnauthorizedClientError("The client may not use the device code")
        allowed = client.get_allowed_scope(scope)
        if allowed is None:
            raise InvalidScopeError
        desk.new_waiting = DeviceCodeRow(
            device_code_sha=hashed(data["device_code"]),
            user_code=data["user_code"],
            client_no=client.row.client_no,
            client_id=client_id,
            scopes=allowed.split(),
            state="pending",
            account_no=None,
            customer_no=None,
            device_no=None,
            interval_s=self.INTERVAL,
            polled_at=None,
            expires_at=desk.now + timedelta(seconds=DEVICE_S),
        )


class Revocation(RevocationEndpoint):
    """An access token ends alone, a refresh token with everything of its grant."""

    CLIENT_AUTH_METHODS = _AUTH

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:  # noqa: ARG002
        return _desk(self).token

    def revoke_token(self, token: Token, request: OAuth2Request) -> None:  # noqa: ARG002
        desk = _desk(self)
        if token.row.kind == "access":
            desk.ended_access = token.row.token_sha
        else:
            desk.ended = (token.row.family_no, "client_revoked")


class Introspection(IntrospectionEndpoint):
    """A confidential client about its own tokens."""

    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:  # noqa: ARG002
        return _desk(self).token

    def check_permission(self, token: Token, client: Client, request: OAuth2Request) -> bool:  # noqa: ARG002
        return token.check_client(client)

    def introspect_token(self, token: Token) -> dict[str, Any]:
        row = token.row
        ends_at = min(row.expires_at, row.family_expires_at)
        return {
            "active": True,
            "client_id": row.client_id,
            "scope": token.get_scope(),
            "token_type": "Bearer" if row.kind == "access" else row.kind,
            "sub": row.customer_id or row.client_id,
            "iat": int(row.created_at.timestamp()),
            "exp": int(ends_at.timestamp()),
            "iss": self.server.issuer,
        }
