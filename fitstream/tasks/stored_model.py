"""A registered model as it lies in S3, checked against what was registered."""

import asyncio
from hashlib import sha256

import msgspec

from fitstream.errors import Rejected
from fitstream.repo.models import Model
from fitstream.store import Store
from fitstream.trainer import registry
from fitstream.trainer.models.blend import Blend


async def load_model(store: Store, model: Model) -> Blend:
    """The model ready to serve. Raises Rejected when it is not what was registered or cannot be
    read by this version, NotFound when it is gone."""
    tensors = await store.get(model.object_key)
    if sha256(tensors).hexdigest() != model.sha256:
        raise Rejected("model_differs", f"{model.object_key} is not what was registered")
    card_key = model.object_key.replace("model.safetensors", "card.json")
    card = msgspec.json.decode(await store.get(card_key))
    return await asyncio.to_thread(registry.load, tensors, card)
