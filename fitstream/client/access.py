"""What the API answers about sessions, staff, programs' keys, OAuth 2.0 and the audit log."""

from datetime import datetime

import msgspec


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """A live session of the asking account; `agent` is the browser as it names itself."""

    id: str
    agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool


class Ended(msgspec.Struct, frozen=True):
    """How many sessions and grants have ended."""

    ended: int


class GrantShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer lets a program do."""

    id: str
    client_id: str
    client_name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What a program asks of the customer who is logged in.

    `redirect_to` is set instead where the answer is already clear: send the browser there.
    """

    client_id: str = ""
    client_name: str = ""
    scopes: dict[str, str] = {}
    redirect_to: str | None = None


class Decided(msgspec.Struct, frozen=True):
    """Where the browser goes with what the customer said."""

    redirect_to: str


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens, RFC 6749 5.1."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = None


class OAuthError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why there are none, RFC 6749 5.2."""

    error: str
    error_description: str | None = None


class Introspected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token is good for, RFC 7662."""

    active: bool
    client_id: str | None = None
    scope: str | None = None
    token_type: str | None = None
    sub: str | None = None
    iat: int | None = None
    exp: int | None = None
    iss: str | None = None


class DeviceCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes of a device that waits, RFC 8628."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The authorization server, RFC 8414."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    device_authorization_endpoint: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    code_challenge_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool


class OAuthClient(msgspec.Struct, frozen=True, kw_only=True):
    """A registered program; `programmes` null means all."""

    id: str
    name: str
    is_confidential: bool
    redirect_uris: list[str]
    grants: list[str]
    scopes: list[str]
    programmes: list[str] | None
    created_at: datetime
    disabled_at: datetime | None


class OAuthClientMade(OAuthClient, frozen=True, kw_only=True):
    """The same with its secret, shown once; a public client has none."""

    client_secret: str | None


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """An administrator, analyst or supporter; `programmes` null means all."""

    id: str
    email: str
    role: str
    programmes: list[str] | None
    created_at: datetime
    disabled_at: datetime | None


class StaffMade(Staff, frozen=True, kw_only=True):
    """The same with a password that was made up, shown once."""

    password: str | None


class ProgramKey(msgspec.Struct, frozen=True, kw_only=True):
    """A program's key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    programmes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ProgramKeyMade(ProgramKey, frozen=True, kw_only=True):
    """The same with the key itself, shown once."""

    key: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to whom: numbers that are never used again, no names, no values."""

    id: int
    at: datetime
    actor: str
    actor_no: int | None
    via: str
    action: str
    subject: str
    customer_no: int | None
    programme_no: int | None
    fields: list[str]
