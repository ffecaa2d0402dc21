"""Programs: their keys, and OAuth clients. A secret is shown once."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client.access import OAuthClient, OAuthClientMade, ProgramKey, ProgramKeyMade
from fitstream.client.data import Items
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.gateway import scoping
from fitstream.gateway.api.answers import answer, body, page
from fitstream.gateway.api.listing import Place, place_of, slice_of
from fitstream.gateway.keys import REPO
from fitstream.gateway.oauth.records import CLIENT, CODE, DEVICE, REFRESH
from fitstream.gateway.policy import Scope
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.gateway.view.cookies import LOOPBACK
from fitstream.ids import hashed, new_key, new_secret
from fitstream.repo import oauth, staff
from fitstream.repo.audit import Subject, record
from fitstream.repo.database import Db
from fitstream.repo.oauth import ClientRow, NewClient
from fitstream.repo.sorts import CLIENTS, KEYS
from fitstream.repo.staff import NewProgramKey, ProgramKeyRow
from fitstream.samples import Text

Grant = Literal[
    "authorization_code", "refresh_token", "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
]  # fmt: skip
Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=20)]
Programmes = Annotated[list[Text], Meta(min_length=1, max_length=100)]
Zoned = Annotated[datetime, Meta(tz=True)]
Uri = Annotated[str, Meta(min_length=1, max_length=1024)]


class CreateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/keys; without programmes it is all, without an end it has none."""

    name: Text
    scopes: Scopes
    programmes: Programmes | None = None
    expires_at: Zoned | None = None


class CreateClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/oauth/clients. A public client cannot keep a secret: an app, a page."""

    name: Text
    is_confidential: bool
    grants: Annotated[list[Grant], Meta(min_length=1, max_length=4)]
    scopes: Scopes
    redirect_uris: Annotated[list[Uri], Meta(max_length=20)] = []
    programmes: Programmes | None = None


class PatchClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PATCH /v1/oauth/clients/{client}; disabling ends all that was granted to it."""

    disabled: bool


async def create_key(request: web.Request) -> web.Response:
    return answer(await make_key(request, await body(request, CreateKey)), 201)


async def make_key(request: web.Request, wanted: CreateKey) -> ProgramKeyMade:
    """A new key with its secret, for API and pages. Raises NotFound for a foreign programme."""
    key, principal = new_key(), request[PRINCIPAL]
    async with request.app[REPO].transaction() as db:
        new = NewProgramKey(
            name=wanted.name,
            scopes=sorted(set(wanted.scopes)),
            programmes=await scoping.numbers_of(db, principal, wanted.programmes),
            expires_at=wanted.expires_at,
            account_no=None,
        )
        await staff.insert_program_key(db, key, new)
        await record(db, principal.actor, "key.created", Subject("key", key.id))
        shown = await _shown_key(db, await staff.get_program_key(db, key.id))
    return ProgramKeyMade(**msgspec.structs.asdict(shown), key=key.text)


async def list_keys(request: web.Request) -> web.Response:
    return page(*await keys_page(request))


async def keys_page(request: web.Request) -> tuple[list[ProgramKey], Place]:
    """A page of keys, and where the next one begins."""
    asked, search = slice_of(request, KEYS), request.query.get("search") or None
    async with request.app[REPO].connection() as db:
        found = await staff.list_program_keys(db, asked, request[PRINCIPAL].within(), search)
        items = [await _shown_key(db, row) for row in found.items]
    return items, place_of(asked, found.following)


async def get_key(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(await _shown_key(db, await _key(db, request)))


async def revoke_key(request: web.Request) -> web.Response:
    async with request.app[REPO].transaction() as db:
        row = await _key(db, request)
        await staff.revoke_program_key(db, row.id)
        await record(db, request[PRINCIPAL].actor, "key.revoked", Subject("key", row.id))
    return web.Response(status=204)


async def create_client(request: web.Request) -> web.Response:
    return answer(await make_client(request, await body(request, CreateClient)), 201)


async def make_client(request: web.Request, wanted: CreateClient) -> OAuthClientMade:
    """A new client with its secret, for API and pages. Raises Rejected(bad_client), NotFound."""
    check_client(wanted)
    secret = f"fsk_{new_secret()}" if wanted.is_confidential else None
    async with request.app[REPO].transaction() as db:
        new = NewClient(
            name=wanted.name,
            secret_sha=hashed(secret) if secret else None,
            redirect_uris=list(dict.fromkeys(wanted.redirect_uris)),
            grants=list(dict.fromkeys(wanted.grants)),
            scopes=sorted(set(wanted.scopes)),
            programmes=await scoping.numbers_of(db, request[PRINCIPAL], wanted.programmes),
        )
        row = await oauth.create_client(db, new)
        await _record(db, request, "client.created", row)
        shown = await _shown_client(db, row)
    return _made(shown, secret)


async def list_clients(request: web.Request) -> web.Response:
    return page(*await clients_page(request))


async def clients_page(request: web.Request) -> tuple[list[OAuthClient], Place]:
    """A page of clients, and where the next one begins."""
    asked, search = slice_of(request, CLIENTS), request.query.get("search") or None
    async with request.app[REPO].connection() as db:
        found = await oauth.list_clients(db, asked, request[PRINCIPAL].within(), search)
        items = [await _shown_client(db, row) for row in found.items]
    return items, place_of(asked, found.following)


async def get_client(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(await _shown_client(db, await _client(db, request)))


async def patch_client(request: web.Request) -> web.Response:
    change = await body(request, PatchClient)
    return answer(await set_disabled(request, change.disabled))


async def set_disabled(request: web.Request, is_disabled: bool) -> OAuthClient:
    """Ends all that was granted to the client of the path, or lets it ask again."""
    async with request.app[REPO].transaction() as db:
        row = await _client(db, request)
        await oauth.set_client_disabled(db, row.client_no, is_disabled)
        action = "client.disabled" if is_disabled else "client.enabled"
        await _record(db, request, action, row)
        return await _shown_client(db, await oauth.get_client(db, row.id))


async def new_client_secret(request: web.Request) -> web.Response:
    return answer(await make_secret(request), 201)


async def make_secret(request: web.Request) -> OAuthClientMade:
    """Another secret of the client of the path. Raises Conflict(public_client)."""
    secret = f"fsk_{new_secret()}"
    async with request.app[REPO].transaction() as db:
        row = await _client(db, request)
        if row.secret_sha is None:
            raise Conflict("public_client", "a public client has no secret")
        await oauth.set_client_secret(db, row.client_no, hashed(secret))
        await _record(db, request, "client.secret_changed", row)
        shown = await _shown_client(db, row)
    return _made(shown, secret)


def check_client(wanted: CreateClient) -> None:
    """Raises Rejected(bad_client) for what RFC 9700 rules out."""
    if CLIENT in wanted.grants and not wanted.is_confidential:
        raise Rejected("bad_client", "a public client cannot ask for itself", 422)
    if CODE in wanted.grants and not wanted.redirect_uris:
        raise Rejected("bad_client", "the code needs an address to go back to", 422)
    if REFRESH in wanted.grants and not {CODE, DEVICE} & set(wanted.grants):
        raise Rejected("bad_client", "a refresh token follows a code only", 422)
    for uri in wanted.redirect_uris:
        _check_redirect(uri)


def _check_redirect(uri: str) -> None:
    """https, a loopback address, or an app's own scheme; exact, so without fragment."""
    is_plain = uri.isascii() and uri.isprintable() and not set(uri) & set(" \"'\\<>*#")
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    is_app = "." in parts.scheme and parts.scheme not in ("http", "https")  # reverse domain name
    is_web = bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    )
    if not is_plain or "@" in parts.netloc or not (is_app or is_web):
        text = "an address to go back to is https, http on loopback, or an app's scheme like org.x"
        raise Rejected("bad_client", text, 422)


async def _key(db: Db, request: web.Request) -> ProgramKeyRow:
    """The key of the path, if the caller manages it; raises NotFound."""
    row = await staff.get_program_key(db, request.match_info["key"])
    if not scoping.covers(request[PRINCIPAL], row.programmes):
        raise NotFound(f"key {row.id}")
    return row


async def _client(db: Db, request: web.Request) -> ClientRow:
    """The client of the path, if the caller manages it; raises NotFound."""
    row = await oauth.get_client(db, request.match_info["client"])
    if not scoping.covers(request[PRINCIPAL], row.programmes):
        raise NotFound(f"client {row.id}")
    return row


async def _shown_client(db: Db, row: ClientRow) -> OAuthClient:
    return OAuthClient(
        id=row.id,
        name=row.name,
        is_confidential=row.secret_sha is not None,
        redirect_uris=row.redirect_uris,
        grants=row.grants,
        scopes=row.scopes,
        programmes=await scoping.ids_of(db, row.programmes),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def _made(shown: OAuthClient, secret: str | None) -> OAuthClientMade:
    return OAuthClientMade(**msgspec.structs.asdict(shown), client_secret=secret)


async def _shown_key(db: Db, row: ProgramKeyRow) -> ProgramKey:
    fields = msgspec.structs.asdict(row)
    return ProgramKey(**fields | {"programmes": await scoping.ids_of(db, row.programmes)})


async def _record(db: Db, request: web.Request, action: str, row: ClientRow) -> None:
    await record(db, request[PRINCIPAL].actor, action, Subject("client", str(row.client_no)))


ROUTES = (
    Route(
        "POST", "/v1/keys", create_key, "create_key", takes=CreateKey, gives=ProgramKeyMade,
        status=201, problems=(404,), tag="access", summary="Create a program's key",
        example={"name": "nightly report", "scopes": ["data:read"]},
    ),
    Route(
        "GET", "/v1/keys", list_keys, "keys", gives=Items[ProgramKey],
        query=("named_search", "keys_sort", "after", "limit"),
        tag="access", summary="List programs' keys",
    ),
    Route(
        "GET", "/v1/keys/{key}", get_key, "key", gives=ProgramKey, problems=(404,),
        tag="access", summary="Read a program's key, without its secret",
    ),
    Route(
        "DELETE", "/v1/keys/{key}", revoke_key, "revoke_key", status=204, writes="",
        problems=(404,), tag="access", summary="End a program's key",
    ),
    Route(
        "POST", "/v1/oauth/clients", create_client, "create_client", takes=CreateClient,
        gives=OAuthClientMade, status=201, problems=(404,), tag="access",
        summary="Register an OAuth client",
        example={
            "name": "Coach", "is_confidential": False, "scopes": ["data:read"],
            "grants": ["authorization_code", "refresh_token"],
            "redirect_uris": ["https://coach.example.org/back"],
        },
    ),
    Route(
        "GET", "/v1/oauth/clients", list_clients, "clients", gives=Items[OAuthClient],
        query=("named_search", "clients_sort", "after", "limit"), tag="access",
        summary="List OAuth clients",
    ),
    Route(
        "GET", "/v1/oauth/clients/{client}", get_client, "client", gives=OAuthClient,
        problems=(404,), tag="access", summary="Read an OAuth client",
    ),
    Route(
        "PATCH", "/v1/oauth/clients/{client}", patch_client, "patch_client", takes=PatchClient,
        gives=OAuthClient, problems=(404,), tag="access", summary="Disable an OAuth client",
        example={"disabled": True},
    ),
    Route(
        "POST", "/v1/oauth/clients/{client}/secret", new_client_secret, "new_client_secret",
        gives=OAuthClientMade, status=201, problems=(404, 409), tag="access",
        state_of="/v1/oauth/clients/{client}",
        summary="A new secret; the old one ends",
    ),
)  # fmt: skip
