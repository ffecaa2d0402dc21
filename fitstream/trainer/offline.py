"""Training and forecasts from files alone: `fitstream train` and `forecast` with `--dataset`.

A dataset is a file of wearers, a part of a pinned dataset, or a folder with its parts and manifest.
Needs no services. The same dataset, recipe and seed give the same weights.
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.errors import Rejected
from fitstream.trainer import data, registry
from fitstream.trainer.data import TARGETS, Series
from fitstream.trainer.fit import train_cohort
from fitstream.trainer.folders import ready_folder
from fitstream.trainer.forecast import Forecast, Request, forecast_many
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.training import use_threads

MODEL, CARD, MANIFEST = "model.safetensors", "card.json", "manifest.json"


class TrainOrder(NamedTuple):
    """What to train on, where the model goes, and the recipe's choices."""

    dataset: Path
    out: Path
    recipe: Recipe


class ForecastOrder(NamedTuple):
    """Whose days, by which model, into which file, how far."""

    dataset: Path
    model: Path
    out: Path
    slots: int


def run_train(order: TrainOrder) -> int:
    """0 when a model was made, 1 when there is not enough data. Raises Rejected for a dataset, a
    target or a folder that cannot be used."""
    check_targets(order.recipe.targets)
    series, name = read_dataset(order.dataset)
    ready_folder(order.out)
    use_threads(1)
    run = train_cohort(series, order.recipe, _tell)
    click.echo(run.verdict)
    if run.artifact is None:
        return 1
    made_at = datetime.now(UTC).isoformat()
    tensors, card = registry.dump(run.artifact, dataset_hash=name, created_at=made_at)
    (order.out / MODEL).write_bytes(tensors)
    (order.out / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card)) + b"\n")
    click.echo(f"{order.out / MODEL}  sha256 {sha256(tensors).hexdigest()}")
    return 0


def run_forecast(order: ForecastOrder) -> int:
    """0 when at least one wearer could be forecast. Raises Rejected as `run_train` does, and for a
    model that cannot be read."""
    series, _ = read_dataset(order.dataset)
    model = read_model(order.model)
    ready_folder(order.out.parent)
    requests = [
        Request(each, each.first_day + timedelta(days=each.days), slots=order.slots)
        for _, each in sorted(series.items())
        if each.days
    ]
    found = forecast_many(model, requests)
    pq.write_table(table_of(found), order.out)
    made = sum(len(each.values) for each in found)
    click.echo(f"{made} forecasts of {len(requests)} wearers in {order.out}")
    return 0 if made else 1


def check_targets(targets: Sequence[str]) -> None:
    """Raises Rejected for what nobody can forecast, and for nothing at all."""
    if not targets:
        raise Rejected("unknown_target", f"name at least one of {', '.join(TARGETS)}")
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        raise Rejected("unknown_target", f"{unknown[0]} is none of {', '.join(TARGETS)}")


def read_dataset(path: Path) -> tuple[dict[str, Series], str]:
    """Series by wearer, and the dataset's hash: the pinned one, or that of what was read.

    Raises Rejected for a file that is none, or not the one its manifest names.
    """
    if path.is_dir():
        return _pinned(path)
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise Rejected("file_unreadable", f"{path} cannot be read: {error}") from error
    is_part = "customer_id" in names
    series = data.load([path.read_bytes()]) if is_part else data.from_wearers(path)
    return series, data.fingerprint(series)


def read_model(folder: Path) -> Blend:
    """The model in a folder. Raises Rejected."""
    try:
        card = msgspec.json.decode((folder / CARD).read_bytes())
        return registry.load((folder / MODEL).read_bytes(), card)
    except (OSError, msgspec.DecodeError) as error:
        raise Rejected("model_unreadable", f"{folder} holds no model: {error}") from error


def table_of(found: Sequence[Forecast]) -> pa.Table:
    """A row for each wearer, target and slot."""
    wearers: list[str] = []
    targets: list[str] = []
    times: list[datetime] = []
    values = [np.empty((0, 4))]
    for each in found:
        start = datetime.combine(each.start_day, time())
        for target, rows in each.values.items():
            wearers += [each.customer_id] * len(rows)
            targets += [target] * len(rows)
            times += [start + timedelta(minutes=15 * slot) for slot in range(len(rows))]
            values.append(np.asarray(rows, np.float64))
    table = np.concatenate(values)
    columns = {"wearer": pa.array(wearers, pa.string()), "target": pa.array(targets, pa.string())}
    columns["slot_local"] = pa.array(times, pa.timestamp("us"))
    for number, name in enumerate(("q10", "q50", "q90", "mean")):
        columns[name] = pa.array(table[:, number])
    return pa.table(columns)


def _pinned(folder: Path) -> tuple[dict[str, Series], str]:
    """A folder as it lies in S3: every part must be what the manifest says."""
    try:
        manifest: Mapping[str, object] = msgspec.json.decode((folder / MANIFEST).read_bytes())
        parts = msgspec.convert(manifest["parts"], list[dict[str, str]])
        bodies = [(folder / Path(part["key"]).name).read_bytes() for part in parts]
        sums = [part["sha256"] for part in parts]
    except (OSError, KeyError, msgspec.MsgspecError) as error:
        raise Rejected("file_unreadable", f"{folder} holds no dataset: {error}") from error
    if [sha256(body).hexdigest() for body in bodies] != sums:
        raise Rejected("dataset_differs", f"a file of {folder} is not what its manifest says")
    return data.load(bodies), str(manifest.get("dataset_hash", ""))


def _tell(epoch: int, epochs: int, loss: float) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rtraining: epoch {epoch} of {epochs}", err=True, nl=epoch >= epochs)
