"""Models of the registry, and the card that says what each rests on."""

from typing import Any

import msgspec
from aiohttp import web

from fitstream.client import data, operations
from fitstream.errors import NotFound
from fitstream.gateway.api.answers import answer, without
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.keys import REPO, STORE
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import models
from fitstream.repo.models import Model
from fitstream.repo.sorts import MODELS
from fitstream.store import Store


async def list_models(request: web.Request) -> web.Response:
    asked, scope = slice_of(request, MODELS), request.query.get("scope") or None
    async with request.app[REPO].connection() as db:
        found = await models.list_models(db, asked, within(request), scope)
    return page_of([described(model) for model in found.items], asked, found.following)


async def get_model(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(described(await models.get_model(db, request.match_info["model"])))


async def get_card(request: web.Request) -> web.Response:
    """card.json as the run wrote it, and what has become of the model since."""
    async with request.app[REPO].connection() as db:
        model = await models.get_model(db, request.match_info["model"])
    card, state = await _kept(request.app[STORE], model)
    return answer({"model": described(model), "card": card, "card_state": state})


async def _kept(store: Store, model: Model) -> tuple[dict[str, Any], str]:
    """The card and how it stands: a model is there whatever became of its objects."""
    key = model.object_key.replace("model.safetensors", "card.json")
    try:
        return msgspec.json.decode(await store.get(key), type=dict[str, Any]), "kept"
    except NotFound:
        return {}, "missing"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}, "unreadable"


def described(model: Model) -> dict[str, Any]:
    """A model as the API shows it."""
    return without(model, "programme_no", "job_id") | {"run": model.job_id}


ROUTES = (
    Route(
        "GET", "/v1/models", list_models, "models",
        gives=data.Items[operations.Model], query=("model_scope", "models_sort", "after", "limit"),
        tag="models", summary="List models, newest first by default",
    ),
    Route(
        "GET", "/v1/models/{model}", get_model, "model",
        gives=operations.Model, tag="models", summary="Read a model",
    ),
    Route(
        "GET", "/v1/models/{model}/card", get_card, "model_card",
        gives=operations.ModelCard, tag="models", summary="Read the card of a model",
    ),
)  # fmt: skip
