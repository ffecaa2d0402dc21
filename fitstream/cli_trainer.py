"""Commands about models: evaluate, train, forecast, list and promote."""

import sys
from pathlib import Path
from typing import Any

import click

from fitstream.cli_parts import or_complain, target

_TARGETS = "steps,calories_kcal,heart_rate_bpm"


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

    chosen = tuple(dict.fromkeys(part.strip() for part in targets.split(",") if part.strip()))
    order = Order(data, out, budget_s, chosen)
    sys.exit(or_complain(lambda: run_evaluate(order)))


@click.command()
@click.option("--programme", default="default", show_default=True)
@click.option("--budget-s", type=click.IntRange(1, 86_400), help="Sizes the search.")
@click.option("--wait", is_flag=True, help="Until it is over; 1 unless it succeeded.")
@target
def train(data: Path | None, url: str | None, key: str | None, **more: Any) -> None:
    """Start a cohort run of a programme."""
    from fitstream.operations.run_models import run_train
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(data, url, key))
    is_waiting = more.pop("wait")
    sys.exit(or_complain(lambda: run_train(api, more, is_waiting)))


@click.command()
@click.option("--promote", default="", metavar="ID", help="Put this one to use first.")
@click.option("--retire", default="", metavar="ID", help="Take this one out of use first.")
@target
def models(data: Path | None, url: str | None, key: str | None, promote: str, retire: str) -> None:
    """List models with stage and accuracy; promote or retire one."""
    from fitstream.operations.run_models import run_models
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(data, url, key))
    sys.exit(or_complain(lambda: run_models(api, promote, retire)))


@click.command()
@click.argument("customer")
@click.option("--target", "metric", default="steps", show_default=True)
@target
def forecast(
    data: Path | None, url: str | None, key: str | None, customer: str, metric: str
) -> None:
    """Print a customer's latest forecast, an hour per line."""
    from fitstream.operations.run_models import run_forecast
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(data, url, key))
    sys.exit(or_complain(lambda: run_forecast(api, customer, metric)))
