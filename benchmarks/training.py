"""Training: the cohort model on the dataset, its accuracy beside the baselines, and its cost."""

import time
from pathlib import Path
from typing import Any

from benchmarks.report import Bar, Report
from fitstream.trainer.data import from_wearers
from fitstream.trainer.fit import train_cohort
from fitstream.trainer.recipe import Recipe

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"


def run(budget: int = 60, threads: int = 1) -> Report:
    """One run; weighted quantile loss (WQL) on the last seven days of every wearer."""
    import torch  # noqa: PLC0415  only here: every other benchmark does without

    torch.set_num_threads(threads)
    series = from_wearers(_DATASET)
    used = time.process_time()
    found = train_cohort(series, Recipe(budget_s=budget), lambda *_: None)
    used = time.process_time() - used
    rows = [_row(entry) for entry in found.leaderboard]
    seconds = f"{used:.0f} CPU-s for {len(series)} wearers"
    bars = [_accuracy(target, found.leaderboard, found.champions) for target in found.champions]
    bars.append(Bar("training, cost", seconds, "≤ 900 CPU-s for 60", None))
    return Report(rows, bars, {"budget": budget, "customers": len(series)})


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("target", "model", "champion", "wql", "mase", "coverage", "daily_wape", "seconds")
    return {name: entry[name] for name in names}


def _accuracy(target: str, board: list[dict[str, Any]], champions: dict[str, str]) -> Bar:
    """The champion against the better of the two seasonal naive forecasts and the climatology."""
    wql = {row["model"]: row["wql"] for row in board if row["target"] == target}
    champion = champions[target]
    naive = min(wql["naive_day"], wql["naive_week"])
    climatology = wql["weighted_climatology"]
    text = (
        f"{champion} {wql[champion]:.4f}; naive {naive:.4f}, weighted climatology {climatology:.4f}"
    )
    return Bar(f"training, WQL of {target}", text, "reported")
