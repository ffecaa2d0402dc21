"""Training: accuracy of a cohort run on the dataset, and what 60 wearers cost."""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Bar, Report
from fitstream.trainer.data import Series, from_wearers
from fitstream.trainer.fit import evaluate_wearers, train_cohort
from fitstream.trainer.recipe import Recipe

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"
_COHORT_S, _EVALUATION_S = 900, 1200  # CPU-seconds for 60 wearers
_WEARERS = 60


def run(budget: int = 60, threads: int = 1, wearers: int = _WEARERS) -> Report:
    """One run; weighted quantile loss (WQL) on the last seven days of every wearer."""
    import torch  # noqa: PLC0415  only here: every other benchmark does without

    torch.set_num_threads(threads)
    series, recipe = from_wearers(_DATASET), Recipe(budget_s=budget)
    found = train_cohort(series, recipe, lambda *_: None)
    rows = [_row(entry) for entry in found.leaderboard]
    bars = [_accuracy(target, found.leaderboard, found.champions) for target in found.champions]
    many = copies(series, wearers)
    used = time.process_time()
    train_cohort(many, recipe, lambda *_: None)
    bars.append(_cost("training", time.process_time() - used, _COHORT_S, wearers))
    used = time.process_time()
    evaluate_wearers(many, recipe, lambda *_: None)
    bars.append(_cost("evaluation", time.process_time() - used, _EVALUATION_S, wearers))
    return Report(rows, bars, {"budget": budget, "wearers": wearers})


def copies(series: dict[str, Series], wearers: int) -> dict[str, Series]:
    """So many wearers for measuring cost: those with three weeks, again and again, each time some
    weeks later and with values of another size. They say nothing about accuracy."""
    rng = np.random.default_rng(0)
    whole = [each for each in series.values() if np.count_nonzero(each.wear) >= 19]
    made = {}
    for number in range(wearers):
        one, turn = whole[number % len(whole)], number // len(whole)
        name = f"{one.customer_id}-{turn}"
        size = np.float32(rng.uniform(0.8, 1.2)) if turn else np.float32(1)
        values = {target: rows * size for target, rows in one.values.items()}
        first = one.first_day + timedelta(days=7 * turn)
        made[name] = replace(one, customer_id=name, first_day=first, values=values)
    return made


def _cost(name: str, seconds: float, most: int, wearers: int) -> Bar:
    reached = seconds <= most if wearers >= _WEARERS else None
    measured = f"{seconds:.0f} CPU-s for {wearers} wearers"
    return Bar(f"{name}, cost", measured, f"≤ {most} CPU-s for {_WEARERS}", reached)


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("target", "model", "champion", "wql", "mase", "coverage", "daily_wape", "seconds")
    return {name: entry[name] for name in names}


def _accuracy(target: str, board: list[dict[str, Any]], champions: dict[str, str]) -> Bar:
    """The champion against the better of the two seasonal naive forecasts and the climatology."""
    wql = {row["model"]: row["wql"] for row in board if row["target"] == target}
    champion = champions[target]
    naive = min(wql["naive_day"], wql["naive_week"])
    climatology = wql["climatology"]
    text = f"{champion} {wql[champion]:.4f}; naive {naive:.4f}, plain climatology {climatology:.4f}"
    return Bar(f"training, WQL of {target}", text, "reported")
