"""What several forms of administration ask: for which programmes, and with which scopes."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web
from multidict import MultiMapping

from fitstream.client.data import Programme
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.gateway.keys import REPO
from fitstream.gateway.scoping import within
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.repo import customers

T = TypeVar("T")
ALL = "all"
REFUSED = (Rejected, Conflict, NotFound)
SCOPE_WORDS = {
    "profile": "who its user is",
    "customers:read": "see customers and their devices",
    "customers:write": "register and change customers",
    "data:read": "read samples, weeks and forecasts",
    "data:write": "bring in files and take them back",
    "devices:write": "add, change and remove devices",
    "models:read": "see models and training runs",
    "models:write": "train, promote and retire models",
    "operations:read": "see jobs, the pipeline and dead letters",
    "operations:write": "roll weeks, steer jobs, settle dead letters",
}


async def programmes_of(request: web.Request) -> list[Programme]:
    """The programmes that whoever asks may choose from."""
    async with request.app[REPO].connection() as db:
        known = await customers.list_programmes(db, within(request))
    return [Programme(each.id, each.name) for each in known]


def chosen_programmes(posted: MultiMapping[object]) -> list[str] | None:
    """The ticked ones, None for all. Raises Rejected: nobody gets all by ticking nothing."""
    chosen = [str(each) for each in posted.getall("programme", [])]
    if ALL in chosen:
        return None
    if not chosen:
        raise Rejected("invalid", "choose programmes, or all of them", 422)
    return chosen


def chosen_scopes(posted: MultiMapping[object]) -> list[str]:
    """The ticked scopes. Raises Rejected for none: a credential that may nothing is of no use."""
    scopes = [str(each) for each in posted.getall("scope", [])]
    if not scopes:
        raise Rejected("invalid", "choose what it may do", 422)
    return scopes


def converted(wanted: Mapping[str, object], kind: type[T], texts: Mapping[str, str]) -> T:
    """`wanted` as `kind`. Raises Rejected with the text for the field that is wrong."""
    try:
        return msgspec.convert(wanted, kind)
    except msgspec.ValidationError as error:
        said = (text for field, text in texts.items() if f"$.{field}" in str(error))
        raise Rejected("invalid", next(said, str(error)), 422) from error


def text_of(error: Exception) -> str:
    """What a refused form says."""
    if isinstance(error, Rejected):
        return sentence_of(error)
    return capital(error.message if isinstance(error, Conflict) else str(error))
