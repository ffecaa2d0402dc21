"""Forecasts: customers whose next day is forecast, per CPU-second of one process, and per second of
as many processes as there are cores, as workers are."""

import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Bar, Report
from fitstream.trainer import registry
from fitstream.trainer.data import SLOTS, TARGETS, Series, from_wearers
from fitstream.trainer.fit import train_cohort
from fitstream.trainer.forecast import Request, forecast_many
from fitstream.trainer.recipe import Recipe

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"
_START = date(2026, 11, 23)
_DAYS = 56
_ROUND = 20  # customers: short rounds, because others use the machine as well
_ROUNDS = 60
_PROCESSES = 2
_TOGETHER_S = 2.0

Saved = tuple[bytes, dict[str, Any]]


def run(rounds: int = _ROUNDS, budget: int = 20, stretches: int = 10) -> Report:
    """The model of a short run on the dataset, for customers with eight weeks of history."""
    trained = train_cohort(from_wearers(_DATASET), Recipe(budget_s=budget), lambda *_: None)
    assert trained.artifact is not None
    saved = registry.dump(trained.artifact, dataset_hash="", created_at="")
    model = trained.artifact.model
    served = ", ".join(f"{target}: {name}" for target, name in trained.champions.items())
    alone = _alone(saved, rounds)
    together = [_together(saved) for _ in range(stretches)]
    rows = [
        {"model": served, "rate": name, "median": round(float(np.median(rates))),
         "best": round(max(rates))}
        for name, rates in (
            ("customers per CPU-s of one process", alone),
            (f"customers per s of {_PROCESSES} processes", together),
        )
    ]  # fmt: skip
    name = f"forecasts, {len(model.targets)} targets, next day"
    measured = (
        f"{max(together):.0f} customers/s by {_PROCESSES} processes in the best of {stretches} "
        f"stretches, median {np.median(together):.0f}; {max(alone):.0f} per CPU-s of one, median "
        f"{np.median(alone):.0f}"
    )
    bars = [Bar(name, measured, "≥ 500", max(together) >= 500)]
    return Report(rows, bars, {"customers": _ROUND, "rounds": rounds})


def _alone(saved: Saved, rounds: int) -> list[float]:
    """Customers per CPU-second, round by round."""
    model, requests = registry.load(*saved), _requests()
    forecast_many(model, requests[:8])
    rates = []
    for _ in range(rounds):
        used = time.process_time()
        forecast_many(model, requests)
        rates.append(_ROUND / (time.process_time() - used))
    return rates


def _together(saved: Saved) -> float:
    """Customers per second of processes that all forecast at the same time."""
    begin = time.time() + 6  # when all have started and read the model
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn")) as pool:
        return sum(pool.map(_rate, [saved] * _PROCESSES, [begin] * _PROCESSES))


def _rate(saved: Saved, begin: float) -> float:
    """Customers per second of this process in a stretch that begins at an instant."""
    model, requests = registry.load(*saved), _requests()
    forecast_many(model, requests[:8])
    time.sleep(max(begin - time.time(), 0))
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < _TOGETHER_S:
        forecast_many(model, requests)
        done += _ROUND
    return done / (time.perf_counter() - started)


def _requests() -> list[Request]:
    return [Request(_history(seed), _START) for seed in range(_ROUND)]


def _history(seed: int) -> Series:
    rng = np.random.default_rng(seed)
    shape = (_DAYS, SLOTS)
    values = {
        target: rng.gamma(2.0, 20.0 + 10 * i, shape).astype(np.float32)
        for i, target in enumerate(TARGETS)
    }
    return Series(f"cus_{seed}", _START - timedelta(days=_DAYS), values, np.ones(_DAYS, np.bool_))
