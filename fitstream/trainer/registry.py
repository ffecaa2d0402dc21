"""Models as bytes and a card, and back: safetensors and JSON alone, nothing is ever unpickled.

Must do no I/O: where the bytes lie is the caller's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from fitstream.errors import Rejected
from fitstream.trainer.forecast import ServingModel
from fitstream.trainer.models.climatology import Climatology
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.windows import Reach

FORMAT = 1
_POOL, _NETWORK = "pool/", "network/"

# RuntimeError: weights that do not fit the network of the card
_UNREADABLE = (
    AttributeError, KeyError, TypeError, RuntimeError, SafetensorError, msgspec.ValidationError,
)  # fmt: skip

Arrays = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A model ready to serve, with the report of the run that made it.

    `report` holds metrics beside the baselines, leaderboard, verdict, counts and limits as plain
    JSON values.
    """

    model: ServingModel
    recipe: Recipe
    report: Mapping[str, Any]


def dump(artifact: Artifact, *, dataset_hash: str, created_at: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of model.safetensors and the content of card.json; equal in, equal out.

    Raises TypeError for a model that is no climatology and no transformer.
    """
    base, networks = _parts(artifact.model)
    tensors: Arrays = {_POOL + target: pool for target, pool in base.pool.items()}
    tensors |= {_NETWORK + name: tensor for name, tensor in networks.items()}
    card: dict[str, Any] = {
        "format": FORMAT,
        "kind": artifact.model.kind,
        "targets": list(base.targets),
        "dataset_hash": dataset_hash,
        "created_at": created_at,
        "recipe": msgspec.to_builtins(artifact.recipe),
        "recipe_hash": recipe_hash(artifact.recipe),
        "reach": {"days": base.reach.days, "slots": base.reach.slots},
        "kernels": {target: msgspec.to_builtins(k) for target, k in base.kernels.items()},
        **artifact.report,
    }
    return save_tensors({name: np.ascontiguousarray(t) for name, t in tensors.items()}), card


def load(tensors: bytes, card: Mapping[str, Any]) -> ServingModel:
    """The model of a card. Raises Rejected for a card or bytes this version cannot read."""
    try:
        if card["format"] != FORMAT:
            raise Rejected("model_format", f"model format {card['format']} is not known here")
        arrays: Arrays = load_tensors(tensors)
        reach = Reach(**card["reach"])
        kernels = {
            target: msgspec.convert(kernel, Kernel) for target, kernel in card["kernels"].items()
        }
        pool = {target: arrays[_POOL + target] for target in kernels}
        return _model(card["kind"], Climatology(reach, kernels, pool), arrays)
    except _UNREADABLE as error:
        raise Rejected("model_unreadable", f"the model cannot be read: {error}") from error


def _model(kind: str, base: Climatology, arrays: Arrays) -> ServingModel:
    if kind == Climatology.kind:
        return base
    if kind != "transformer":
        raise Rejected("model_kind", f"models of kind {kind} are not known here")
    return _transformer(base, arrays)


def _transformer(base: Climatology, arrays: Arrays) -> ServingModel:
    from fitstream.trainer.models import transformer  # noqa: PLC0415 - the climatology needs no torch

    states: dict[str, Arrays] = {}
    for key, array in arrays.items():
        if key.startswith(_NETWORK):
            target, _, name = key.removeprefix(_NETWORK).partition("/")
            states.setdefault(target, {})[name] = array
    networks = {
        target: transformer.network_from_arrays(base.kernels[target], base.reach, state)
        for target, state in states.items()
    }
    return transformer.Transformer(base, networks)


def _parts(model: ServingModel) -> tuple[Climatology, Arrays]:
    """The climatology below a model, and the arrays of its networks by `target/name`."""
    if isinstance(model, Climatology):
        return model, {}
    base, arrays = getattr(model, "base", None), getattr(model, "arrays", None)
    if not isinstance(base, Climatology) or arrays is None:
        raise TypeError(f"{type(model).__name__} cannot be saved")
    return base, arrays()
