"""Scores of contenders on the same slots, with what a few lines of pandas forecast beside them.

Knows nothing of who made a forecast but its name; fitstream is the one others are compared with.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd

from fitstream.trainer.report import WORDS

OURS = "fitstream"
_KEYS = ["wearer", "target", "slot_local"]
_DRAWS = 2000


class Run(NamedTuple):
    """One contender's predictions and what they took."""

    name: str
    predictions: pd.DataFrame
    cpu_s: float
    peak_mib: float


class Score(msgspec.Struct, frozen=True):
    """One contender on one target; `against` is fitstream's WQL over its own, in per cent."""

    target: str
    model: str
    wql: float
    against: tuple[float, float, float] | None
    below_q10: float
    above_q90: float
    daily_wape: float


def truths(data: Path) -> pd.DataFrame:
    """Measured values of wear days: wearer, slot_local, target, y."""
    rows = pd.read_parquet(data)
    rows = rows[rows["wear_day"].astype(bool)]
    rows["slot_local"] = pd.to_datetime(rows["slot_local"])
    return rows.melt(["wearer", "slot_local"], list(WORDS), "target", "y").dropna()


def baselines(data: Path) -> list[Run]:
    """Seasonal naive day and week, and plain climatology: a few lines of pandas each."""
    rows = truths(data)
    rows["day"] = rows["slot_local"].dt.normalize()
    rows["slot"] = (rows["slot_local"] - rows["day"]) // pd.Timedelta(minutes=15)
    tables: dict[str, list[pd.DataFrame]] = {"naive day": [], "naive week": [], "climatology": []}
    for (wearer, target), own in rows.groupby(["wearer", "target"]):
        table = own.pivot_table(index="day", columns="slot", values="y").reindex(columns=range(96))
        for day in table.index[-7:]:
            past = table[table.index < day]
            if len(past) < 2:
                continue
            keys = {"wearer": wearer, "target": target}
            at = pd.DataFrame(keys | {"slot_local": day + pd.to_timedelta(15 * np.arange(96), "m")})
            for name, days in (("naive day", 1), ("naive week", 7)):
                made = _naive(past, day, days)
                tables[name].append(at.assign(**made))
            tables["climatology"].append(at.assign(**_climatology(past)))
    return [Run(name, pd.concat(parts), 0.0, 0.0) for name, parts in tables.items()]


def _naive(past: pd.DataFrame, day: pd.Timestamp, days: int) -> dict[str, np.ndarray]:
    then = day - pd.Timedelta(days=days)
    value = past.loc[then] if then in past.index else past.iloc[-1]
    value = value.fillna(past.ffill().iloc[-1]).fillna(past.stack().median()).to_numpy()
    errors = past.diff(days).to_numpy()
    known = np.isfinite(errors)
    spread = 1.2816 * float(np.sqrt((errors[known] ** 2).mean())) if known.any() else 0.0
    return {
        "q10": np.maximum(value - spread, 0), "q50": value, "q90": value + spread, "mean": value,
    }  # fmt: skip


def _climatology(past: pd.DataFrame) -> dict[str, np.ndarray]:
    """Quantiles of each slot and two to both sides over all days before."""
    wide = np.pad(past.to_numpy(), ((0, 0), (2, 2)), mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(wide, 5, axis=1)
    values = near.transpose(1, 0, 2).reshape(96, -1)
    everything = past.to_numpy()
    everything = everything[np.isfinite(everything)]
    values = np.where(np.isfinite(values).any(axis=1)[:, None], values, np.median(everything))
    low, middle, high = np.nanquantile(values, (0.1, 0.5, 0.9), axis=1)
    return {"q10": low, "q50": middle, "q90": high, "mean": np.nanmean(values, axis=1)}


def compare(data: Path, runs: list[Run]) -> list[Score]:
    """Every contender on the slots that all of them forecast, the best of a target first."""
    truth = truths(data)
    scores = []
    for target in WORDS:
        both = joined(truth[truth["target"] == target], target, runs)
        if len(both):
            scores += _scores(both, target, [each.name for each in runs])
    return scores


def joined(truth: pd.DataFrame, target: str, runs: list[Run]) -> pd.DataFrame:
    both = truth
    for each in runs:
        own = each.predictions[each.predictions["target"] == target]
        own = own.rename(columns={q: f"{each.name} {q}" for q in ("q10", "q50", "q90", "mean")})
        both = both.merge(own, on=_KEYS)
    return both


def _scores(both: pd.DataFrame, target: str, names: list[str]) -> list[Score]:
    days = both["slot_local"].dt.normalize()
    losses = {name: _losses(both, name) for name in names}
    size, scores = both["y"].abs().sum(), []
    for name in sorted(losses, key=lambda each: losses[each].sum()):
        sums = both.groupby(["wearer", days])[["y", f"{name} mean"]].sum()
        scores.append(
            Score(
                target=target,
                model=name,
                wql=float(losses[name].sum() / size),
                against=None if name == OURS else _interval(both, losses[OURS], losses[name]),
                below_q10=float((both["y"] < both[f"{name} q10"]).mean()),
                above_q90=float((both["y"] > both[f"{name} q90"]).mean()),
                daily_wape=float((sums["y"] - sums[f"{name} mean"]).abs().sum() / sums["y"].sum()),
            )
        )
    return scores


def _losses(both: pd.DataFrame, name: str) -> np.ndarray:
    total = np.zeros(len(both))
    for level, q in ((0.1, "q10"), (0.5, "q50"), (0.9, "q90")):
        error = (both["y"] - both[f"{name} {q}"]).to_numpy()
        total += 2 * np.maximum(level * error, (level - 1) * error) / 3
    return total


def _interval(
    both: pd.DataFrame, ours: np.ndarray, theirs: np.ndarray
) -> tuple[float, float, float]:
    """Relative difference of the WQLs in per cent and its 95 % interval, wearers resampled."""
    sums = pd.DataFrame({"wearer": both["wearer"].to_numpy(), "a": ours, "b": theirs})
    a, b = (sums.groupby("wearer")[c].sum().to_numpy() for c in ("a", "b"))
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size=_DRAWS)
    low, high = np.quantile(100 * (counts @ a / (counts @ b) - 1), (0.025, 0.975))
    return float(100 * (a.sum() / b.sum() - 1)), float(low), float(high)
