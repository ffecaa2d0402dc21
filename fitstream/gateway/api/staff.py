"""People who work here: create, change rights, disable. Nobody changes themselves."""

import secrets
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from fitstream.client.access import Staff, StaffMade
from fitstream.client.data import Items
from fitstream.errors import Conflict, NotFound
from fitstream.gateway import scoping
from fitstream.gateway.api.answers import answer, body, page
from fitstream.gateway.api.customers import Email
from fitstream.gateway.api.listing import Place, place_of, slice_of
from fitstream.gateway.keys import REPO
from fitstream.gateway.passwords import PASSWORD_MAX, hash_password
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.principal import Staff as Role
from fitstream.gateway.routes import Route
from fitstream.repo import accounts, sessions, staff
from fitstream.repo.audit import Subject, record
from fitstream.repo.database import Db
from fitstream.repo.sorts import STAFF
from fitstream.repo.staff import StaffRow
from fitstream.samples import Text

Programmes = Annotated[list[Text], Meta(min_length=1, max_length=100)]


class CreateStaff(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/staff; without a password one is made up, without programmes it is all."""

    email: Email
    role: Role
    programmes: Programmes | None = None
    password: Annotated[str, Meta(max_length=PASSWORD_MAX)] | None = None


class PatchStaff(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of PATCH /v1/staff/{account}; what is left out stays, null programmes are all."""

    role: Role | UnsetType = UNSET
    programmes: Programmes | None | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


async def create_staff(request: web.Request) -> web.Response:
    wanted = await body(request, CreateStaff)
    return answer(await make_staff(request, wanted), 201)


async def make_staff(request: web.Request, wanted: CreateStaff) -> StaffMade:
    """A new account with its password. Raises Conflict(exists), Rejected(weak_password)."""
    principal = request[PRINCIPAL]
    password = wanted.password or secrets.token_urlsafe(15)
    password_hash = await hash_password(password, wanted.email)
    async with request.app[REPO].transaction() as db:
        numbers = await scoping.numbers_of(db, principal, wanted.programmes)
        number = await accounts.create_account(db, wanted.email, password_hash, wanted.role, None)
        await staff.set_rights(db, number, wanted.role, numbers)
        await _record(db, principal, "staff.created", number, ["role", "programmes"])
        account = await accounts.find_account(db, wanted.email)
        row = await staff.get_staff(db, account.id if account else "")
        shown = await _shown(db, row)
    shown_once = None if wanted.password else password
    return StaffMade(**msgspec.structs.asdict(shown), password=shown_once)


async def list_staff(request: web.Request) -> web.Response:
    return page(*await staff_page(request))


async def staff_page(request: web.Request) -> tuple[list[Staff], Place]:
    """A page of the staff that the caller manages, and where the next one begins."""
    asked, search = slice_of(request, STAFF), request.query.get("search") or None
    async with request.app[REPO].connection() as db:
        found = await staff.list_staff(db, asked, request[PRINCIPAL].within(), search)
        items = [await _shown(db, row) for row in found.items]
    return items, place_of(asked, found.following)


async def get_staff(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(await _shown(db, await _one(db, request)))


async def patch_staff(request: web.Request) -> web.Response:
    change = await body(request, PatchStaff)
    return answer(await change_staff(request, change))


async def change_staff(request: web.Request, change: PatchStaff) -> Staff:
    """The account of the path with its new rights; its sessions end with the old ones."""
    principal = request[PRINCIPAL]
    async with request.app[REPO].transaction() as db:
        row = await _one(db, request)
        if row.id == principal.account_id:
            raise Conflict("own_account", "somebody else must change your rights")
        role = row.role if change.role is UNSET else change.role
        numbers = row.programmes
        if change.programmes is not UNSET:
            numbers = await scoping.numbers_of(db, principal, change.programmes)
        if (role, numbers) != (row.role, row.programmes):
            await staff.set_rights(db, row.account_no, role, numbers)
            await sessions.revoke_for(db, "role_changed", account_no=row.account_no)
            await _record(db, principal, "staff.rights_changed", row.account_no, _names(change))
        if change.disabled is not UNSET:
            await _set_disabled(db, principal, row, change.disabled)
        return await _shown(db, await staff.get_staff(db, row.id))


async def _set_disabled(db: Db, principal: Principal, row: StaffRow, disabled: bool) -> None:
    if disabled == (row.disabled_at is not None):
        return
    await staff.set_disabled(db, row.account_no, disabled)
    await sessions.revoke_for(db, "disabled", account_no=row.account_no)
    action = "staff.disabled" if disabled else "staff.enabled"
    await _record(db, principal, action, row.account_no, [])


async def _one(db: Db, request: web.Request) -> StaffRow:
    """The account of the path, if the caller manages it; raises NotFound."""
    row = await staff.get_staff(db, request.match_info["account"])
    if not scoping.covers(request[PRINCIPAL], row.programmes):
        raise NotFound(f"account {row.id}")
    return row


async def _shown(db: Db, row: StaffRow) -> Staff:
    return Staff(
        id=row.id,
        email=row.email,
        role=row.role,
        programmes=await scoping.ids_of(db, row.programmes),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


async def _record(db: Db, by: Principal, action: str, number: int, fields: list[str]) -> None:
    await record(db, by.actor, action, Subject("account", str(number)), fields)


def _names(change: PatchStaff) -> list[str]:
    given = msgspec.structs.asdict(change)
    return [name for name in ("role", "programmes") if given[name] is not UNSET]


ROUTES = (
    Route(
        "POST", "/v1/staff", create_staff, "create_staff", takes=CreateStaff, gives=StaffMade,
        status=201, problems=(404, 409), tag="access", summary="Create an account of the staff",
        example={"email": "ada@example.org", "role": "analyst", "programmes": ["default"]},
    ),
    Route(
        "GET", "/v1/staff", list_staff, "staff", gives=Items[Staff],
        query=("staff_search", "staff_sort", "after", "limit"),
        tag="access", summary="List the staff",
    ),
    Route(
        "GET", "/v1/staff/{account}", get_staff, "staff_member", gives=Staff, problems=(404,),
        tag="access", summary="Read an account of the staff",
    ),
    Route(
        "PATCH", "/v1/staff/{account}", patch_staff, "patch_staff", takes=PatchStaff, gives=Staff,
        problems=(404, 409), tag="access", summary="Change rights, or disable",
        example={"role": "support"},
    ),
)  # fmt: skip
