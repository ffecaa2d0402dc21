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
_ROUND = 20  # customers: short rounds, because others use the machine as well
_ROUNDS = 60


def run(rounds: int = _ROUNDS, budget: int = 20) -> Report:
    """The model of a short run on the dataset, for customers with eight weeks of history."""
    trained = train_cohort(from_wearers(_DATASET), Recipe(budget_s=budget), lambda *_: None)
    assert trained.artifact is not None
    model = trained.artifact.model
    start = date(2026, 11, 23)
    requests = [Request(_history(seed, start), start) for seed in range(_ROUND)]
    forecast_many(model, requests[:8])
    cpu, wall = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        forecast_many(model, requests)
        cpu.append(_ROUND / (time.process_time() - used))
        wall.append(_ROUND / (time.perf_counter() - began))
    rows = [
        {"model": model.kind, "targets": len(model.targets), "rate": name,
         "median": round(float(np.median(rates))), "best": round(max(rates))}
        for name, rates in (("customers per CPU-s", cpu), ("customers per s", wall))
    ]  # fmt: skip
    name = f"forecasts, {len(model.targets)} targets, next day"
    measured = f"{max(cpu):.0f} customers per CPU-s in the best round of {rounds}"
    bars = [Bar(name, f"{measured}, median {np.median(cpu):.0f}", "≥ 500", max(cpu) >= 500)]
    return Report(rows, bars, {"customers": _ROUND, "rounds": rounds})


def _history(seed: int, end: date) -> Series:
    rng = np.random.default_rng(seed)
    shape = (_DAYS, SLOTS)
    values = {
        target: rng.gamma(2.0, 20.0 + 10 * i, shape).astype(np.float32)
        for i, target in enumerate(TARGETS)
    }
    return Series(f"cus_{seed}", end - timedelta(days=_DAYS), values, np.ones(_DAYS, np.bool_))
