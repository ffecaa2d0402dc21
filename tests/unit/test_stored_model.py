"""A model whose objects are gone or damaged: never used, and told with what to do."""

from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import pytest

from fitstream.errors import Rejected
from fitstream.repo.models import Model
from fitstream.tasks.stored_model import load_model
from fitstream.trainer import registry
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.registry import Artifact
from tests.fakes.store import FakeStore
from tests.forecasting import some_model

KEY, CARD = "models/mod_a/model.safetensors", "models/mod_a/card.json"


def stored() -> tuple[FakeStore, Model]:
    body, card = registry.dump(Artifact(some_model(), Recipe(), {}), dataset_hash="", created_at="")
    store = FakeStore()
    store.objects = {KEY: body, CARD: msgspec.json.encode(card)}
    model = Model(
        id="mod_a", programme_no=1, kind="weighted_climatology", stage="champion", job_id="",
        dataset_hash="", metrics={}, object_key=KEY, sha256=sha256(body).hexdigest(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return store, model


async def test_a_model_is_read_as_it_was_registered() -> None:
    store, model = stored()
    assert (await load_model(store, model)).targets == some_model().targets


@pytest.mark.parametrize(
    ("key", "left"),
    [
        (KEY, None),
        (KEY, b"short"),
        (CARD, None),
        (CARD, b'{"format'),
        (CARD, b"[]"),
        (CARD, b"\xff"),
    ],
)
async def test_what_is_gone_or_damaged_is_refused_with_what_to_do(
    key: str, left: bytes | None
) -> None:
    store, model = stored()
    if left is None:
        del store.objects[key]
    else:
        store.objects[key] = left
    with pytest.raises(Rejected) as refused:
        await load_model(store, model)
    assert refused.value.code == ("model_gone" if left is None else "model_differs")
    assert key in refused.value.message
    assert "bring it back from a backup" in refused.value.message
