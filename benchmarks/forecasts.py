"""Forecasts: customers per second whose next day is forecast, on one core."""

import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from benchmarks.report import Bar, Report
from fitstream.trainer.data import SLOTS, TARGETS, Series, from_wearers
from fitstream.trainer.fit import train_cohort
from fitstream.trainer.forecast import Request, forecast_many
from fitstream.trainer.recipe import Recipe

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"
_DAYS = 56
_ROUNDS = 3


def run(customers: int = 200, budget: int = 20) -> Report:
    """The champion of a short run on the dataset, for customers with eight weeks of history."""
    trained = train_cohort(from_wearers(_DATASET), Recipe(budget_s=budget), lambda *_: None)
    assert trained.artifact is not None
    model = trained.artifact.model
    start = date(2026, 11, 23)
    requests = [Request(_history(seed, start), start) for seed in range(customers)]
    forecast_many(model, requests[:8])
    least, cpu = np.inf, np.inf
    for _ in range(_ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        forecast_many(model, requests)
        least = min(least, time.perf_counter() - began)
        cpu = min(cpu, time.process_time() - used)
    per_cpu, per_s = customers / float(cpu), customers / float(least)
    rows = [
        {"model": model.kind, "targets": len(model.targets), "customers_per_s": round(per_s),
         "customers_per_cpu_s": round(per_cpu)}
    ]  # fmt: skip
    name = f"forecasts, {len(model.targets)} targets, next day"
    bars = [Bar(name, f"{per_cpu:.0f} customers per CPU-s", "≥ 500", per_cpu >= 500)]
    return Report(rows, bars, {"customers": customers})


def _history(seed: int, end: date) -> Series:
    rng = np.random.default_rng(seed)
    shape = (_DAYS, SLOTS)
    values = {
        target: rng.gamma(2.0, 20.0 + 10 * i, shape).astype(np.float32)
        for i, target in enumerate(TARGETS)
    }
    return Series(f"cus_{seed}", end - timedelta(days=_DAYS), values, np.ones(_DAYS, np.bool_))
