"""Commands about models: evaluate, train, forecast, list and promote."""

import sys
from pathlib import Path

import click

from fitstream.cli_parts import or_complain

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
