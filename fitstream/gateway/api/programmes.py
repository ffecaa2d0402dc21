"""Programmes: the studies and schemes that customers belong to."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import after, answer, body, limit, page
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import programme_of, within
from fitstream.ids import new_id
from fitstream.repo import audit, customers
from fitstream.repo.audit import Subject
from fitstream.repo.customers import Programme
from fitstream.samples import Text

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}(?!\n)$", max_length=63)]


class CreateProgramme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/programmes; without an id it gets one."""

    name: Text
    id: Slug | None = None


async def create_programme(request: web.Request) -> web.Response:
    """A new programme. Only who sees all programmes may add one."""
    wanted = await body(request, CreateProgramme)
    principal = request[PRINCIPAL]
    if principal.programmes is not None:
        raise Rejected("forbidden", "who sees named programmes only may not add one", 403)
    async with request.app[REPO].transaction() as db:
        name = wanted.id or new_id("prg")
        made = await customers.create_programme(db, name, wanted.name)
        subject = Subject("programme", str(made.programme_no), None, made.programme_no)
        await audit.record(db, principal.actor, "programme.created", subject)
    return answer(_shown(made), 201)


async def list_programmes(request: web.Request) -> web.Response:
    """The programmes that the caller sees, oldest first."""
    count, position = limit(request), after(request, int) or 0
    async with request.app[REPO].connection() as db:
        found = await customers.list_programmes(db, within(request), position, count)
    following = found[-1].programme_no if len(found) == count else None
    return page([_shown(one) for one in found], following)


async def get_programme(request: web.Request) -> web.Response:
    """One that the caller sees; raises NotFound."""
    wanted = request.match_info["programme"]
    async with request.app[REPO].connection() as db:
        return answer(_shown(await programme_of(db, request[PRINCIPAL], wanted)))


def _shown(programme: Programme) -> data.Programme:
    return data.Programme(programme.id, programme.name, programme.open_registration)


ROUTES = (
    Route(
        "POST", "/v1/programmes", create_programme, "create_programme",
        takes=CreateProgramme, gives=data.Programme, status=201,
        tag="customers", summary="Create a programme",
        example={"name": "Night shifts", "id": "night-shifts"},
    ),
    Route(
        "GET", "/v1/programmes", list_programmes, "programmes",
        gives=data.Items[data.Programme], query=("after", "limit"),
        tag="customers", summary="List programmes",
    ),
    Route(
        "GET", "/v1/programmes/{programme}", get_programme, "programme",
        gives=data.Programme, tag="customers", summary="Read a programme",
    ),
)  # fmt: skip
