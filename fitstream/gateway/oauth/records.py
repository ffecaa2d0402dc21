"""Rows of the database as the OAuth core wants to see them."""

import re
from datetime import datetime
from hmac import compare_digest
from typing import Any, NamedTuple

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from authlib.oauth2.rfc8628 import DeviceCredentialMixin

from fitstream.ids import hashed
from fitstream.repo.oauth import ClientRow, CodeRow, DeviceCodeRow, TokenRow

CODE = "authorization_code"
REFRESH = "refresh_token"
CLIENT = "client_credentials"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = (CODE, REFRESH, CLIENT, DEVICE)


# `localhost` is none of them: RFC 8252, 8.3.
_LOOPBACK = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\])(:(?P<port>[0-9]{1,5}))?(?P<rest>(/[^#\s]*)?)", re.ASCII
)


class Owner(NamedTuple):
    """Who granted it: a customer with their account, perhaps for one of their devices."""

    account_no: int
    customer_no: int
    device_no: int | None = None


class Client(ClientMixin):
    """A registered program."""

    def __init__(self, row: ClientRow) -> None:
        self.row = row

    def get_client_id(self) -> str:
        return self.row.id

    def get_default_redirect_uri(self) -> None:
        """None: a request always names its address."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """What was asked for if all of it is allowed; everything allowed when nothing was."""
        asked = scope.split() if scope else self.row.scopes
        return " ".join(asked) if asked and set(asked) <= set(self.row.scopes) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Exact comparison, character by character.

        But for the port of an app on the person's own machine, which its system gives it (RFC 8252,
        7.3): of a public client whose registered address is a loopback one any port will do.
        """
        known = self.row.redirect_uris
        if redirect_uri in known:
            return True
        is_app = self.row.secret_sha is None
        asked = _portless(redirect_uri)
        return is_app and asked is not None and asked in map(_portless, known)

    def check_client_secret(self, client_secret: str) -> bool:
        known = self.row.secret_sha
        return known is not None and compare_digest(known, hashed(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """A confidential client always shows its secret; a public one has none."""
        return (method == "none") == (self.row.secret_sha is None)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and CODE in self.row.grants

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.row.grants


def _portless(uri: str) -> tuple[str, str] | None:
    """Host and rest of an address on a loopback IP, None for any other address or no such port."""
    found = _LOOPBACK.fullmatch(uri)
    if found is None or not 0 < int(found["port"] or 80) < 65_536:
        return None
    return found["host"], found["rest"]


class Code(AuthorizationCodeMixin):
    """An authorization code."""

    code_challenge_method = "S256"

    def __init__(self, row: CodeRow) -> None:
        self.row = row
        self.code_challenge = row.code_challenge

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.row.scopes)


class Token(TokenMixin):
    """An access or refresh token."""

    def __init__(self, row: TokenRow, now: datetime) -> None:
        self.row = row
        self._now = now

    def check_client(self, client: Client) -> bool:
        return bool(self.row.client_no == client.row.client_no)

    def get_scope(self) -> str:
        return " ".join(self.row.scopes)

    def get_expires_in(self) -> int:
        return int((self.row.expires_at - self.row.created_at).total_seconds())

    def is_expired(self) -> bool:
        return bool(min(self.row.expires_at, self.row.family_expires_at) <= self._now)

    def is_revoked(self) -> bool:
        """A refresh token that was exchanged is not active any more, either."""
        return bool(self.row.revoked or self.row.used_at is not None)


class Waiting(DeviceCredentialMixin):
    """A device that polls."""

    def __init__(self, row: DeviceCodeRow, now: datetime) -> None:
        self.row = row
        self._now = now

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_scope(self) -> str:
        return " ".join(self.row.scopes)

    def get_user_code(self) -> str:
        return self.row.user_code

    def is_expired(self) -> bool:
        return bool(self.row.expires_at <= self._now)

    def get_nonce(self) -> Any:
        return None

    def get_auth_time(self) -> Any:
        return None
