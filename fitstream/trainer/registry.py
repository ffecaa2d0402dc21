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
from fitstream.trainer.cohort import Cohort, no_cohort
from fitstream.trainer.daytotals import Ratios
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.calibration import Calibration
from fitstream.trainer.models.climatology import Climatology
from fitstream.trainer.models.kernel import PARTS, Kernel
from fitstream.trainer.models.mixture import mixture_from_arrays
from fitstream.trainer.models.nowcast import SHAPES, Nowcast, NowcastShape
from fitstream.trainer.models.shape import MIXTURE, Shape
from fitstream.trainer.overlay import Adapted, overlay
from fitstream.trainer.recipe import CustomerRecipe, Recipe, customer_recipe_hash, recipe_hash
from fitstream.trainer.windows import Reach

FORMAT = 2
FIRST_FORMAT = 1
OWN_KIND = "adapted"

# RuntimeError: weights that do not fit the network of the card
_UNREADABLE = (
    AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError,
    msgspec.ValidationError,
)  # fmt: skip

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A model ready to serve, with the report of the run that made it.

    `report` holds metrics beside the baselines, leaderboard, verdict, counts and limits as plain
    JSON values.
    """

    model: Blend
    recipe: Recipe
    report: Mapping[str, Any]


def dump(artifact: Artifact, *, dataset_hash: str, created_at: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of model.safetensors and the content of card.json; equal in, equal out."""
    model = artifact.model
    base = model.base
    tensors: Arrays = {}
    for target in base.targets:
        cohort = base.cohorts[target]
        tensors[f"{target}/pool"] = base.pool[target]
        tensors[f"{target}/cohort.marks"] = cohort.marks
        tensors[f"{target}/cohort.profile"] = cohort.profile
        tensors[f"{target}/cohort.table"] = cohort.table
        tensors[f"{target}/cohort.spread"] = np.array([cohort.spread])
        if target in model.calibrations:
            tensors[f"{target}/calibration"] = model.calibrations[target].moves
        for number, member in enumerate(model.members.get(target, ())):
            for name, array in _arrays_of(member).items():
                tensors[f"{target}/network.{number}/{name}"] = array
    for target, nowcast in model.nowcasts.items():
        for number, layers in enumerate(nowcast.networks):
            for name, array in layers.items():
                tensors[f"{target}/nowcast.{number}/{name}"] = array
    card: dict[str, Any] = {
        "format": FORMAT,
        "kind": model.kind,
        "targets": list(base.targets),
        "dataset_hash": dataset_hash,
        "created_at": created_at,
        "recipe": msgspec.to_builtins(artifact.recipe),
        "recipe_hash": recipe_hash(artifact.recipe),
        "reach": {"days": base.reach.days, "slots": base.reach.slots},
        "kernels": {target: msgspec.to_builtins(k) for target, k in base.kernels.items()},
        "members": {target: _shares(group) for target, group in model.members.items()},
        "day_ratios": {target: list(each) for target, each in model.day_ratios.items()},
        "nowcasts": {t: msgspec.to_builtins(each.shape) for t, each in model.nowcasts.items()},
        **artifact.report,
    }
    return save_tensors({name: np.ascontiguousarray(t) for name, t in tensors.items()}), card


def dump_own(
    adapted: Mapping[str, Adapted], recipe: CustomerRecipe, report: Mapping[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Bytes and card of one person's model: only what differs from the cohort's model it rests on,
    nothing of other people's days."""
    tensors: Arrays = {}
    for target, each in adapted.items():
        tensors[f"{target}/calibration"] = each.calibration.moves
        for number, member in enumerate(each.members):
            for name, array in _arrays_of(member).items():
                tensors[f"{target}/network.{number}/{name}"] = array
    card: dict[str, Any] = {
        "format": FORMAT,
        "kind": OWN_KIND,
        "targets": list(adapted),
        "recipe": msgspec.to_builtins(recipe),
        "recipe_hash": customer_recipe_hash(recipe),
        "kernels": {target: msgspec.to_builtins(each.kernel) for target, each in adapted.items()},
        "members": {target: _shares(each.members) for target, each in adapted.items()},
        "day_ratios": {target: list(each.ratios) for target, each in adapted.items()},
        **report,
    }
    return save_tensors({name: np.ascontiguousarray(t) for name, t in tensors.items()}), card


def load_own(tensors: bytes, card: Mapping[str, Any], base: Blend) -> Blend:
    """One person's model on top of the cohort's that it was made from. Raises Rejected for a card
    or bytes this version cannot read."""
    try:
        if (card["format"], card["kind"]) != (FORMAT, OWN_KIND):
            raise Rejected("model_format", f"this is no person's model: {card['kind']}")
        return overlay(base, _adapted(load_tensors(tensors), card, base))
    except _UNREADABLE as error:
        raise Rejected("model_unreadable", f"the model cannot be read: {error}") from error


def _adapted(arrays: Arrays, card: Mapping[str, Any], base: Blend) -> dict[str, Adapted]:
    return {
        target: Adapted(
            kernel=msgspec.convert(kernel, Kernel),
            members=tuple(
                # a network keeps the kernel it was first trained on
                _member(
                    arrays,
                    f"{target}/network.{number}/",
                    each,
                    (base.base.kernels[target], base.reach),
                )
                for number, each in enumerate(card["members"][target])
            ),
            calibration=Calibration(arrays[f"{target}/calibration"]),
            ratios=Ratios(*(float(each) for each in card["day_ratios"][target])),
        )
        for target, kernel in card["kernels"].items()
    }


def _shares(members: tuple[Member, ...]) -> list[dict[str, Any]]:
    return [{"shape": msgspec.to_builtins(m.shape), "weight": m.weight} for m in members]


def load(tensors: bytes, card: Mapping[str, Any]) -> Blend:
    """The model of a card. Raises Rejected for a card or bytes this version cannot read."""
    readers = {FORMAT: _model, FIRST_FORMAT: _first_model}
    try:
        if card["format"] not in readers:
            raise Rejected("model_format", f"model format {card['format']} is not known here")
        return readers[card["format"]](load_tensors(tensors), card)
    except _UNREADABLE as error:
        raise Rejected("model_unreadable", f"the model cannot be read: {error}") from error


def _model(arrays: Arrays, card: Mapping[str, Any]) -> Blend:
    reach = Reach(**card["reach"])
    kernels = {t: msgspec.convert(kernel, Kernel) for t, kernel in card["kernels"].items()}
    base = Climatology(
        reach,
        kernels,
        {target: arrays[f"{target}/pool"] for target in kernels},
        {target: _cohort(arrays, target) for target in kernels},
    )
    members = {
        target: tuple(
            _member(arrays, f"{target}/network.{number}/", each, (kernels[target], reach))
            for number, each in enumerate(group)
        )
        for target, group in card["members"].items()
    }
    calibrations = {
        target: Calibration(arrays[f"{target}/calibration"])
        for target in kernels
        if f"{target}/calibration" in arrays
    }
    given = card["day_ratios"].items()
    ratios = {target: Ratios(*(float(each) for each in found)) for target, found in given}
    nowcasts = {  # models of before have none
        target: _nowcast(arrays, target, msgspec.convert(each, NowcastShape))
        for target, each in card.get("nowcasts", {}).items()
    }
    return Blend(base, members, calibrations, ratios, nowcasts)


def _nowcast(arrays: Arrays, target: str, shape: NowcastShape) -> Nowcast:
    networks = []
    for number in range(shape.networks):
        layers = _below(arrays, f"{target}/nowcast.{number}/")
        if {name: layer.shape for name, layer in layers.items()} != SHAPES:
            raise ValueError(f"{target}: the layers of a network of the next hour do not fit")
        networks.append(layers)
    return Nowcast(target, shape, tuple(networks))


def _below(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays under a prefix, by what follows it."""
    return {
        key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)
    }


def _first_model(arrays: Arrays, card: Mapping[str, Any]) -> Blend:
    """A model of the first format: the climatology it is or stands on, as it was then."""
    kernels = {target: _first_kernel(each) for target, each in card["kernels"].items()}
    pool = {target: arrays[f"pool/{target}"] for target in kernels}
    cohorts = {target: no_cohort() for target in kernels}
    return Blend(Climatology(Reach(**card["reach"]), kernels, pool, cohorts))


def _first_kernel(entry: Mapping[str, Any]) -> Kernel:
    """One factor for the whole day, and nothing from the cohort."""
    return Kernel(
        sd_slots=(float(entry["sd_slots"]),) * PARTS,
        half_life_days=float(entry["half_life_days"]),
        class_factor=(float(entry["class_factor"]),) * PARTS,
        weekday_factor=(float(entry["weekday_factor"]),) * PARTS,
        prior_days=(0.0,) * PARTS,
    )


def _cohort(arrays: Arrays, target: str) -> Cohort:
    marks, profile, table, spread = (
        arrays[f"{target}/cohort.{name}"] for name in ("marks", "profile", "table", "spread")
    )
    return Cohort(marks, profile, table, float(spread[0]))


def _arrays_of(member: Member) -> Arrays:
    """What a member has learned."""
    if member.shape.kind == MIXTURE:
        learned: Arrays = member.network.arrays()
        return learned
    return {name: t.detach().numpy() for name, t in member.network.state_dict().items()}


def _member(
    arrays: Arrays, prefix: str, entry: Mapping[str, Any], made_for: tuple[Kernel, Reach]
) -> Member:
    shape = msgspec.convert(entry["shape"], Shape)
    state = _below(arrays, prefix)
    if shape.kind == MIXTURE:
        return Member(shape, mixture_from_arrays(made_for[0], state), float(entry["weight"]))
    from fitstream.trainer.models.network import network_from_arrays  # noqa: PLC0415 - torch

    return Member(shape, network_from_arrays(*made_for, shape, state), float(entry["weight"]))
