"""A registered model as it lies in S3, checked against what was registered."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from fitstream.errors import NotFound, Rejected
from fitstream.logs import get
from fitstream.repo import models
from fitstream.repo.models import Model, OwnModel
from fitstream.store import Store
from fitstream.tasks.context import JobContext
from fitstream.trainer import registry
from fitstream.trainer.models.blend import Blend

log = get(__name__)
_ADVICE = (
    "bring it back from a backup, go back to the model before, or train another one "
    "(while the weeks are the same ones, with another seed)"
)


class OwnBlend(NamedTuple):
    """A customer's own model, ready to serve."""

    id: str
    model: Blend


async def own_models(
    context: JobContext, served: tuple[Model, Blend], customers: Sequence[int]
) -> dict[int, OwnBlend]:
    """Own models of customers on top of the programme's, by their numbers; one that cannot be read
    is passed over, and the programme's serves."""
    base, model = served
    async with context.repo.connection() as db:
        own = await models.own_champions(db, base, customers)
    found: dict[int, OwnBlend] = {}
    for customer_no, each in own.items():
        try:
            tensors, card = await _read(context.store, each)
            loaded = await asyncio.to_thread(registry.load_own, tensors, card, model)
        except Rejected as error:
            log.warning("model_unreadable", model=each.id, detail=str(error))
            continue
        found[customer_no] = OwnBlend(each.id, loaded)
    return found


async def load_model(store: Store, model: Model) -> Blend:
    """The model ready to serve. Raises Rejected when it is gone, not what was registered, or
    cannot be read by this version."""
    tensors, card = await _read(store, model)
    return await asyncio.to_thread(registry.load, tensors, card)


async def _read(store: Store, model: Model | OwnModel) -> tuple[bytes, dict[str, Any]]:
    tensors = await _object(store, model.object_key)
    if sha256(tensors).hexdigest() != model.sha256:
        raise Rejected("model_differs", f"{model.object_key} is not what was registered; {_ADVICE}")
    key = model.object_key.replace("model.safetensors", "card.json")
    try:
        return tensors, msgspec.json.decode(await _object(store, key), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Rejected("model_differs", f"{key} is damaged; {_ADVICE}") from error


async def _object(store: Store, key: str) -> bytes:
    try:
        return await store.get(key)
    except NotFound:
        raise Rejected("model_gone", f"{key} is gone; {_ADVICE}") from None
