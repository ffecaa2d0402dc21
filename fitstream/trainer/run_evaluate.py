"""`fitstream evaluate`: forecasts the last days of every wearer in a file, and says how well.

Needs no services. Must not let anything of the days it forecasts into what it learns.
"""

import resource
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from time import process_time
from typing import NamedTuple

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.errors import Rejected
from fitstream.trainer.data import SLOTS, Floats, Series, from_wearers
from fitstream.trainer.evaluation_report import Cost, evaluation_text
from fitstream.trainer.fit import evaluate_wearers
from fitstream.trainer.folders import ready_folder
from fitstream.trainer.forecast import bounded
from fitstream.trainer.offline import check_targets
from fitstream.trainer.plots import draw_calibration, draw_errors, draw_fans
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.report import Outcome
from fitstream.trainer.splits import last_days
from fitstream.trainer.training import use_threads

_MEBIBYTE_KIB = 1024


class Order(NamedTuple):
    """What to evaluate: a file, where the results go, seconds for the search, which targets."""

    data: Path
    out: Path
    budget_s: int
    targets: tuple[str, ...]


def run_evaluate(order: Order) -> int:
    """0 when at least one wearer could be forecast. Raises Rejected for a file, target or folder
    that cannot be used."""
    check_targets(order.targets)
    series = from_wearers(order.data)
    if not any(len(e.measured_days(t)) for e in series.values() for t in order.targets):
        text = f"{order.data} measures none of {', '.join(order.targets)} on any wear day"
        raise Rejected("nothing_measured", text)
    ready_folder(order.out)
    use_threads(1)
    recipe = Recipe(budget_s=order.budget_s, targets=order.targets)
    plan, outcomes = evaluate_wearers(series, recipe, _tell)
    skipped = [name for name, each in series.items() if not len(last_days(each, recipe.test_days))]
    pq.write_table(predictions(series, outcomes), order.out / "predictions.parquet")
    plots = [name for outcome in outcomes for name in _draw(outcome, order.out)]
    cost = Cost(process_time(), _peak_mib())
    text = evaluation_text(series, (recipe, plan), outcomes, (skipped, plots), cost)
    (order.out / "report.md").write_text(text)
    click.echo(text.split("\n## ")[0].rstrip())
    return 0 if outcomes else 1


def predictions(series: Mapping[str, Series], outcomes: Sequence[Outcome]) -> pa.Table:
    """A row for each wearer, target and slot that was forecast: the model that passed its gate."""
    names: list[str] = []
    targets: list[str] = []
    times: list[datetime] = []
    values: list[Floats] = []
    for outcome in outcomes:
        for issue, forecast in zip(outcome.test.issues, served(outcome), strict=True):
            midnight = datetime.combine(series[issue.customer_id].first_day, time())
            midnight += timedelta(days=issue.day)
            names += [issue.customer_id] * SLOTS
            targets += [outcome.target] * SLOTS
            times += [midnight + timedelta(minutes=15 * slot) for slot in range(SLOTS)]
            values.append(bounded(forecast, outcome.target))
    table = np.concatenate(values) if values else np.empty((0, 4), np.float32)
    columns = {"wearer": _ids(names), "target": pa.array(targets, pa.string())}
    columns["slot_local"] = pa.array(times, pa.timestamp("us"))
    for number, name in enumerate(("q10", "q50", "q90", "mean")):
        columns[name] = pa.array(table[:, number].astype(np.float64))
    return pa.table(columns)


def served(outcome: Outcome) -> Floats:
    """(day, 96, 4): what the model that serves the target said."""
    return outcome.test.forecasts[outcome.champion]


def _ids(names: Sequence[str]) -> pa.Array:
    """Wearers as the shared data has them: whole numbers where they are some."""
    if all(name.lstrip("-").isdecimal() for name in names):
        return pa.array([int(name) for name in names], pa.int64())
    return pa.array(names, pa.string())


def _draw(outcome: Outcome, out: Path) -> list[str]:
    made = {
        f"fan-{outcome.target}.png": draw_fans,
        f"calibration-{outcome.target}.png": draw_calibration,
        f"error-by-slot-{outcome.target}.png": draw_errors,
    }
    for name, draw in made.items():
        draw(outcome, out / name)
    return list(made)


def _tell(epoch: int, epochs: int, loss: float) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rtraining: epoch {epoch} of {epochs}", err=True, nl=epoch >= epochs)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEBIBYTE_KIB
