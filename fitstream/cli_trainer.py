"""Commands about models: evaluate, train, forecast, list and promote."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from fitstream.cli_parts import or_complain, target

_TARGETS = "steps,calories_kcal,heart_rate_bpm"
_HASH = re.compile(r"[0-9a-f]{64}")


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Parquet with wearer, slot_local, the targets and wear_day.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option(
    "--budget-s",
    type=click.IntRange(1, 86_400),
    default=240,
    show_default=True,
    help="Sizes the search for networks, in seconds of one core.",
)
@click.option("--targets", default=_TARGETS, show_default=True)
def evaluate(data: Path, out: Path, budget_s: int, targets: str) -> None:
    """Forecast the last seven days of every wearer in a file, and write how good that was.

    Needs no services. Writes predictions.parquet, report.md and plots into --out.
    """
    from fitstream.trainer.run_evaluate import Order, run_evaluate

    order = Order(data, out, budget_s, _split(targets))
    sys.exit(or_complain(lambda: run_evaluate(order)))


@click.command()
@click.option("--dataset", help="A file or folder: train here, no services; or a pinned hash.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="For a file's model.")
@click.option("--targets", default=_TARGETS, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--programme", default="default", show_default=True)
@click.option("--customer", metavar="ID", help="Adapt the model to this customer instead.")
@click.option("--budget-s", type=click.IntRange(1, 86_400), help="Sizes the search.")
@click.option("--wait", is_flag=True, help="Until it is over; 1 unless it succeeded.")
@target
def train(data: Path | None, url: str | None, key: str | None, **more: Any) -> None:
    """Train a model: of a programme, of one customer, or from files alone."""
    if more["dataset"] and Path(more["dataset"]).exists():
        sys.exit(or_complain(lambda: _train_here(more)))
    if more["dataset"] and not _HASH.fullmatch(more["dataset"]):
        text = f"{more['dataset']} is no file or folder here, nor the hash of a pinned dataset"
        raise click.BadParameter(text, param_hint="--dataset")
    from fitstream.operations.run_models import run_train
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(data, url, key))
    sys.exit(or_complain(lambda: run_train(api, _wanted(more), more["wait"])))


def _train_here(more: dict[str, Any]) -> int:
    from fitstream.trainer.offline import TrainOrder, run_train
    from fitstream.trainer.recipe import Recipe

    if more["out"] is None:
        raise click.UsageError("--out DIR says where the model of a file goes")
    budget_s = more["budget_s"] or Recipe().budget_s
    recipe = Recipe(budget_s=budget_s, targets=_split(more["targets"]), seed=more["seed"])
    return run_train(TrainOrder(Path(more["dataset"]), more["out"], recipe))


def _wanted(more: dict[str, Any]) -> dict[str, Any]:
    """What the API is asked for."""
    wanted = {"targets": list(_split(more["targets"])), "budget_s": more["budget_s"]}
    if more["customer"]:
        return {"scope": "customer", "customer_id": more["customer"], **wanted}
    if more["dataset"]:
        wanted["dataset"] = more["dataset"]
    return {"programme": more["programme"], "seed": more["seed"], **wanted}


def _split(targets: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in targets.split(",") if part.strip()))


@click.group(invoke_without_command=True)
@target
@click.pass_context
def models(context: click.Context, data: Path | None, url: str | None, key: str | None) -> None:
    """List models with stage and accuracy, or do something with one."""
    context.obj = (data, url, key)
    if context.invoked_subcommand is None:
        _models(context, "list")


@models.command("list")
@click.pass_context
def list_models(context: click.Context) -> None:
    """List models, newest first."""
    _models(context, "list")


@models.command()
@click.argument("model")
@click.pass_context
def show(context: click.Context, model: str) -> None:
    """Print the card of a model."""
    _models(context, "show", model)


@models.command()
@click.argument("model")
@click.pass_context
def promote(context: click.Context, model: str) -> None:
    """Put a model to use in place of the champion."""
    _models(context, "promote", model)


@models.command()
@click.argument("model")
@click.pass_context
def retire(context: click.Context, model: str) -> None:
    """Take a model out of use."""
    _models(context, "retire", model)


@models.command("roll-back")
@click.argument("model")
@click.pass_context
def roll_back(context: click.Context, model: str) -> None:
    """Go back from a champion to the model before it."""
    _models(context, "roll-back", model)


def _models(context: click.Context, what: str, model: str = "") -> None:
    from fitstream.operations.run_models import run_models
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(*context.obj))
    sys.exit(or_complain(lambda: run_models(api, what, model)))


@click.command()
@click.argument("customer", required=False)
@click.option("--target", "metric", default="steps", show_default=True)
@click.option(
    "--dataset",
    type=click.Path(path_type=Path, exists=True),
    help="A file or folder of wearers to forecast instead, with --model and --out; no services.",
)
@click.option("--model", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--slots", type=click.IntRange(1, 672), default=96, show_default=True)
@target
def forecast(data: Path | None, url: str | None, key: str | None, **more: Any) -> None:
    """Print a customer's latest forecast, an hour per line; or forecast a file's wearers."""
    if more["dataset"] is not None:
        sys.exit(or_complain(lambda: _forecast_here(more)))
    if more["customer"] is None:
        raise click.UsageError("name a customer, or a file with --dataset")
    from fitstream.operations.run_models import run_forecast
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(data, url, key))
    sys.exit(or_complain(lambda: run_forecast(api, more["customer"], more["metric"])))


def _forecast_here(more: dict[str, Any]) -> int:
    from fitstream.trainer.offline import ForecastOrder, run_forecast

    if more["model"] is None or more["out"] is None:
        raise click.UsageError("--dataset needs --model DIR and --out FILE")
    return run_forecast(ForecastOrder(more["dataset"], more["model"], more["out"], more["slots"]))
