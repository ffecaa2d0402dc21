"""OAuth 2.0: tokens for programs, the customer's decision about them, and what was granted.

The protocol's own routes answer as their RFCs say, not as problem+json. Whose browser comes here
is sent to the customers' pages, which ask as the customer.
"""

from functools import partial
from typing import Annotated, Any

import msgspec
from aiohttp import web
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from msgspec import Meta

from fitstream.client import access
from fitstream.errors import NotFound, Rejected
from fitstream.gateway import pairing_codes
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.held_session import hold
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.oauth.asking import FORM, counted, query_of
from fitstream.gateway.oauth.core import Answer, Core, issuer_of
from fitstream.gateway.oauth.desk import Desk
from fitstream.gateway.oauth.records import GRANTS, Owner
from fitstream.gateway.oauth.service import Office
from fitstream.gateway.oauth.words import SCOPE_WORDS
from fitstream.gateway.policy import SCOPES
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.routes import Route
from fitstream.repo import devices, oauth, scoping
from fitstream.repo.audit import Subject, record
from fitstream.repo.database import Db
from fitstream.samples import Text
from fitstream.settings import pages_url

Query = Annotated[str, Meta(max_length=8192)]
UserCode = Annotated[str, Meta(min_length=8, max_length=16)]


class TokenForm(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of the token endpoint that a grant may need."""

    grant_type: str
    client_id: str | None = None
    client_secret: str | None = None
    code: str | None = None
    redirect_uri: str | None = None
    code_verifier: str | None = None
    refresh_token: str | None = None
    device_code: str | None = None
    scope: str | None = None


class TextForm(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of revocation and introspection."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class DeviceForm(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a device that asks for codes."""

    client_id: str
    client_secret: str | None = None
    scope: str | None = None


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/oauth/authorize: the query as it came, and what the customer said."""

    query: Query
    approve: bool
    device_id: Text | None = None


class DeviceDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/oauth/device/decision."""

    user_code: UserCode
    approve: bool
    device_id: Text | None = None


async def token(request: web.Request) -> web.Response:
    """Tokens for a code, a refresh token, a device code or a client itself."""
    return _answered(await _office(request).token(await counted(request)))


async def revoke(request: web.Request) -> web.Response:
    """Ends a token; one that is unknown is no error."""
    return _answered(await _office(request).endpoint("revocation", await counted(request)))


async def introspect(request: web.Request) -> web.Response:
    """What a token of the asking client is good for."""
    return _answered(await _office(request).endpoint("introspection", await counted(request)))


async def device(request: web.Request) -> web.Response:
    """A long code to poll with and a short one to type."""
    asked = await counted(request, pairing_codes.count_start)
    return _answered(await _office(request).endpoint("device_authorization", asked))


async def authorize(request: web.Request) -> web.StreamResponse:
    """What a program asks of the customer; a browser that comes here is sent to the page."""
    principal = request[PRINCIPAL]
    if principal.role != "customer" or principal.scopes is not None:
        page = f"{pages_url(request.app[SETTINGS])}/oauth/authorize"
        raise web.HTTPFound(f"{page}?{request.rel_url.raw_query_string}")
    try:
        core = await _office(request).consent(query_of(request.rel_url.raw_query_string))
    except OAuth2Error as error:
        return answer(access.Consent(redirect_to=_where(error)))
    async with request.app[REPO].connection() as db:
        await _check_programme(db, request, _client_of(core))
    return answer(_consent(core, request.query.get("scope")))


async def decide(request: web.Request) -> web.Response:
    """Where the browser goes with what the customer said."""
    said = await body(request, Decision)
    asked = query_of(said.query)
    try:
        core = await _office(request).consent(asked)
        async with request.app[REPO].connection() as db:
            await _check_programme(db, request, _client_of(core))
        owner = await _owner(request, said.device_id) if said.approve else None
        done = await _office(request).decide(asked, owner, partial(_given, request))
    except OAuth2Error as error:
        return answer(access.Decided(_where(error) or ""))
    if done.location is None:
        raise Rejected("bad_authorization", "the program's request cannot be answered", 422)
    return answer(access.Decided(done.location))


async def show_device(request: web.Request) -> web.Response:
    """What the device behind a short code asks for."""
    bucket = await pairing_codes.count_approve(request, request[PRINCIPAL].account_id or "")
    async with request.app[REPO].transaction() as db:
        row = await _waiting(db, request, request.query.get("user_code", ""))
        client = await oauth.get_client(db, row.client_id)
        await _check_programme(db, request, client)
    await pairing_codes.give_back(request, bucket)
    words = {str(scope): SCOPE_WORDS[scope] for scope in SCOPES if scope in row.scopes}
    return answer(access.Consent(client_id=client.id, client_name=client.name, scopes=words))


async def decide_device(request: web.Request) -> web.Response:
    """What the customer said to the device."""
    said = await body(request, DeviceDecision)
    owner = await _owner(request, said.device_id)
    bucket = await pairing_codes.count_approve(request, request[PRINCIPAL].account_id or "")
    async with request.app[REPO].transaction() as db:
        row = await _waiting(db, request, said.user_code)
        if said.approve:
            await hold(db, request)
            await _check_programme(db, request, await oauth.get_client(db, row.client_id))
            await _record(db, request, row.client_no)
        decided = msgspec.structs.replace(
            row,
            state="approved" if said.approve else "denied",
            account_no=owner.account_no,
            customer_no=owner.customer_no,
            device_no=owner.device_no,
        )
        await oauth.decide_device_code(db, decided)
    await pairing_codes.give_back(request, bucket)
    return web.Response(status=204)


async def metadata(request: web.Request) -> web.Response:
    """Where everything is and what is supported, RFC 8414."""
    settings = request.app[SETTINGS]
    issuer = issuer_of(settings)
    here = f"{issuer}/v1/oauth"
    secret = ["client_secret_basic", "client_secret_post"]
    found = access.ServerMetadata(
        issuer=issuer,
        authorization_endpoint=f"{pages_url(settings)}/oauth/authorize",
        token_endpoint=f"{here}/token",
        revocation_endpoint=f"{here}/revoke",
        introspection_endpoint=f"{here}/introspect",
        device_authorization_endpoint=f"{here}/device",
        scopes_supported=list(SCOPES),
        response_types_supported=["code"],
        grant_types_supported=list(GRANTS),
        token_endpoint_auth_methods_supported=[*secret, "none"],
        revocation_endpoint_auth_methods_supported=[*secret, "none"],
        introspection_endpoint_auth_methods_supported=secret,
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
    )
    if issuer.startswith("https://"):
        AuthorizationServerMetadata(msgspec.to_builtins(found)).validate()
    return answer(found)


def _office(request: web.Request) -> Office:
    return Office(request.app[REPO], request.app[SETTINGS], now(request))


def _answered(given: Answer) -> web.Response:
    """The core's answer; nothing of it is ever kept (RFC 6749, 5.1)."""
    response = answer(dict(given.body), given.status)
    response.headers.update({"Pragma": "no-cache"})
    challenge = given.headers.get("WWW-Authenticate")
    if given.status == 401:
        response.headers["WWW-Authenticate"] = challenge or 'Basic realm="fitstream"'
    return response


def _where(error: OAuth2Error) -> str | None:
    """Where the browser takes an error to; raises Rejected for one that stays here.

    Only an address that is registered for the client is ever gone to.
    """
    given = Answer(*error())
    if given.location is None:
        text = error.description or "the program's request is not valid"
        raise Rejected("bad_authorization", f"{error.error}: {text}", 422)
    return given.location


def _consent(core: Core, scope: str | None) -> access.Consent:
    row = _client_of(core)
    asked = scope.split() if scope else row.scopes
    words = {str(name): SCOPE_WORDS[name] for name in SCOPES if name in asked}
    return access.Consent(client_id=row.id, client_name=row.name, scopes=words)


def _client_of(core: Core) -> oauth.ClientRow:
    """The client of a request that the core has found valid."""
    if core.desk.client is None:
        raise NotFound("the program")
    return core.desk.client.row


async def _check_programme(db: Db, request: web.Request, client: oauth.ClientRow) -> None:
    """A program that is confined to programmes asks no customer of another."""
    if client.programmes is None:
        return
    programme_no = await scoping.customer(db, request[PRINCIPAL].customer_id or "")
    if programme_no not in client.programmes:
        text = "this program is not meant for your programme"
        raise Rejected("bad_authorization", text, 422)


async def _owner(request: web.Request, device_id: str | None) -> Owner:
    """The asking customer; a device is one of theirs and still in use."""
    principal: Principal = request[PRINCIPAL]
    if principal.account_no is None or principal.customer_no is None:
        raise Rejected("forbidden", "only a customer can grant this", 403)
    if device_id is None:
        return Owner(principal.account_no, principal.customer_no)
    async with request.app[REPO].connection() as db:
        found = await devices.get_device(db, principal.customer_no, device_id)
    if found.removed_at is not None:
        raise NotFound(f"device {device_id}")
    return Owner(principal.account_no, principal.customer_no, found.device_no)


async def _waiting(db: Db, request: web.Request, user_code: str) -> oauth.DeviceCodeRow:
    """The device behind a short code, however it is written; raises NotFound."""
    letters = "".join(char for char in user_code.upper() if char.isalpha())
    text = f"{letters[:4]}-{letters[4:]}"
    row = await oauth.lock_user_code(db, text, now(request)) if letters.isascii() else None
    if row is None:
        raise NotFound("a device with this code")
    return row


async def _given(request: web.Request, db: Db, desk: Desk) -> None:
    """A customer has agreed, in a session that has not ended meanwhile."""
    await hold(db, request)
    if desk.client is not None:
        await _record(db, request, desk.client.row.client_no)


async def _record(db: Db, request: web.Request, client_no: int) -> None:
    principal = request[PRINCIPAL]
    programme_no = await scoping.customer(db, principal.customer_id or "")
    subject = Subject("client", str(client_no), principal.customer_no, programme_no)
    await record(db, principal.actor, "grant.given", subject)


_FAILED: tuple[tuple[int, Any], ...] = ((400, access.OAuthError), (401, access.OAuthError))
ROUTES = (
    Route(
        "POST", "/v1/oauth/token", token, "oauth_token",
        takes=TokenForm, gives=access.TokenAnswer, reads=(FORM,), others=_FAILED,
        problems=(408, 413, 415), is_keyed=False, is_tolerant=True,
        tag="oauth", summary="Exchange a grant for tokens",
    ),
    Route(
        "POST", "/v1/oauth/revoke", revoke, "oauth_revoke",
        takes=TextForm, gives=dict[str, str], reads=(FORM,), others=_FAILED,
        problems=(408, 413, 415), is_keyed=False, is_tolerant=True,
        tag="oauth", summary="End a token",
    ),
    Route(
        "POST", "/v1/oauth/introspect", introspect, "oauth_introspect",
        takes=TextForm, gives=access.Introspected, reads=(FORM,), others=_FAILED,
        problems=(408, 413, 415), is_keyed=False, is_tolerant=True,
        tag="oauth", summary="Ask what a token is good for",
    ),
    Route(
        "POST", "/v1/oauth/device", device, "oauth_device",
        takes=DeviceForm, gives=access.DeviceCodes, reads=(FORM,), others=_FAILED,
        problems=(408, 413, 415), is_keyed=False, is_tolerant=True,
        tag="oauth", summary="Begin on a device that has no browser",
    ),
    Route(
        "GET", "/v1/oauth/authorize", authorize, "oauth_authorize",
        gives=access.Consent, others=((302, None),), problems=(422,), is_tolerant=True,
        tag="oauth", summary="What a program asks of the customer who is logged in",
    ),
    Route(
        "POST", "/v1/oauth/authorize", decide, "oauth_decide",
        takes=Decision, gives=access.Decided, problems=(404,),
        tag="oauth", summary="Grant or refuse what a program asks",
    ),
    Route(
        "GET", "/v1/oauth/device", show_device, "oauth_show_device",
        gives=access.Consent, query=("user_code",), problems=(404, 422),
        tag="oauth", summary="What the device behind a short code asks",
    ),
    Route(
        "POST", "/v1/oauth/device/decision", decide_device, "oauth_decide_device",
        takes=DeviceDecision, status=204, writes="", problems=(404,),
        tag="oauth", summary="Grant or refuse what a device asks",
    ),
    Route(
        "GET", "/.well-known/oauth-authorization-server", metadata, "oauth_metadata",
        gives=access.ServerMetadata, tag="oauth", summary="The authorization server (RFC 8414)",
    ),
)  # fmt: skip
