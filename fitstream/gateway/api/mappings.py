"""Schema mappings: how the files of a source are read, in versions that are never changed."""

from typing import Any

import msgspec
from aiohttp import web

from fitstream.client import uploads as shapes
from fitstream.client.data import Items
from fitstream.gateway import uploading
from fitstream.gateway.api.answers import after, answer, body, limit, page
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import programme_of
from fitstream.repo import customers, mappings
from fitstream.repo.mappings import Mapping
from fitstream.uploads.spec import MappingSpec, Name


class NewMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping to keep: the first version of its name in the programme, or the next one."""

    name: Name
    spec: MappingSpec
    programme: str = "default"


async def save_mapping(request: web.Request) -> web.Response:
    wanted = await body(request, NewMapping)
    async with request.app[REPO].transaction() as db:
        programme = await programme_of(db, request[PRINCIPAL], wanted.programme)
        place = (programme.programme_no, wanted.name)
        kept = await uploading.keep(db, request, place, wanted.spec)
    return answer(shown(kept), 201)


async def list_mappings(request: web.Request) -> web.Response:
    count = limit(request)
    position = after(request, str) or ""
    async with request.app[REPO].connection() as db:
        programme = await programme_of(db, request[PRINCIPAL], _programme(request))
        found = await mappings.list_mappings(db, programme.programme_no, position, count)
    following = found[-1].name if len(found) == count else None
    return page([shown(mapping) for mapping in found], following)


async def get_mapping(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        programme = await programme_of(db, request[PRINCIPAL], _programme(request))
        name = request.match_info["mapping"]
        found = await mappings.list_versions(db, programme.programme_no, name)
    newest = shown(found[0])
    return answer(
        shapes.SchemaMappings(
            name=newest.name,
            version=newest.version,
            programme=newest.programme,
            spec=newest.spec,
            versions=[shown(mapping) for mapping in found],
        )
    )


async def list_sources(request: web.Request) -> web.Response:
    """What the customer's programme keeps, without who made it."""
    count = limit(request)
    position = after(request, str) or ""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await mappings.list_mappings(db, customer.programme_no, position, count)
    following = found[-1].name if len(found) == count else None
    return page([shapes.MappingSource(each.name, each.version) for each in found], following)


def shown(mapping: Mapping) -> shapes.SchemaMapping:
    """A version as API and pages show it."""
    return shapes.SchemaMapping(
        name=mapping.name,
        version=mapping.version,
        programme=mapping.programme,
        spec=mapping.spec,
        created_by=mapping.created_by,
        created_at=mapping.created_at,
        uploads=mapping.uploads,
    )


def _programme(request: web.Request) -> str:
    return request.query.get("programme") or "default"


_EXAMPLE: dict[str, Any] = {
    "name": "clinic export",
    "spec": {
        "columns": [
            {"column": "Time", "to": "slot"},
            {"column": "Steps", "to": "steps"},
            {"column": "Distance (km)", "to": "distance_m", "unit": "km"},
        ],
        "time": {"format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"},
    },
}

ROUTES = (
    Route(
        "POST", "/v1/mappings", save_mapping, "save_mapping",
        takes=NewMapping, gives=shapes.SchemaMapping, status=201, tag="uploads", problems=(404,),
        summary="Keep a mapping: the first or the next version of its name", example=_EXAMPLE,
    ),
    Route(
        "GET", "/v1/mappings", list_mappings, "mappings",
        gives=Items[shapes.SchemaMapping], query=("programme", "after", "limit"), tag="uploads",
        problems=(404,),
        summary="List mappings in their newest versions",
    ),
    Route(
        "GET", "/v1/mappings/{mapping}", get_mapping, "mapping",
        gives=shapes.SchemaMappings, query=("programme",), tag="uploads",
        summary="Read a mapping with all its versions",
    ),
    Route(
        "GET", "/v1/customers/{customer}/mappings", list_sources, "customer_mappings",
        gives=Items[shapes.MappingSource], query=("after", "limit"), tag="uploads",
        summary="List the mappings that a customer's files may name",
    ),
)  # fmt: skip
