"""Forecasts beside what a data scientist would use instead: accuracy, CPU-seconds, peak memory.

`python -m benchmarks.forecast [--peers PYTHON] [--budget-s N] [NAME…]`, where PYTHON is that of an
environment made from requirements-forecast.txt. Each contender is a process of its own with one
thread; all are scored here, on the same slots, and results/forecast.md is written.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fitstream.trainer.report import WORDS

_ROOT = Path(__file__).parent.parent
_DATASET = _ROOT / "dataset" / "wearers_15min.parquet"
_RESULT = Path(__file__).parent / "results" / "forecast.md"
_KEYS = ["wearer", "target", "slot_local"]
_DRAWS = 2000
_PEERS = ("autoets", "lightgbm", "autogluon")


class Run(NamedTuple):
    """One contender's predictions and what they took."""

    name: str
    predictions: pd.DataFrame
    cpu_s: float
    peak_mib: float


def main() -> None:
    """Runs, scores, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default="")
    parser.add_argument("--budget-s", type=int, default=240)
    parser.add_argument("--data", type=Path, default=_DATASET)
    parser.add_argument("names", nargs="*", default=list(_PEERS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [_ours(asked.data, Path(folder), asked.budget_s)]
        for name in asked.names if asked.peers else []:
            found = _peer(name, asked.data, Path(folder), asked.peers)
            runs += [found] if found else []
    text = compare(asked.data, runs + baselines(asked.data))
    print(text)
    if asked.data == _DATASET:
        _RESULT.write_text(text)


def _ours(data: Path, folder: Path, budget_s: int) -> Run:
    out = folder / "fitstream"
    command = [sys.executable, "-m", "fitstream", "evaluate", "--data", str(data)]
    command += ["--out", str(out), "--budget-s", str(budget_s)]
    cpu_s, peak = _measured(command)
    return Run("fitstream", pd.read_parquet(out / "predictions.parquet"), cpu_s, peak)


def _peer(name: str, data: Path, folder: Path, python: str) -> Run | None:
    out = folder / f"{name}.parquet"
    script = Path(__file__).parent / "forecast_peers.py"
    try:
        cpu_s, peak = _measured([python, str(script), name, str(data), str(out)])
    except subprocess.CalledProcessError as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return None
    return Run(name, pd.read_parquet(out), cpu_s, peak)


def _measured(command: list[str]) -> tuple[float, float]:
    """CPU-seconds and peak MiB of a command that succeeds; raises CalledProcessError."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(command, cwd=_ROOT, env=os.environ | one)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


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
    spread = (
        1.2816 * float(np.sqrt(np.nanmean(past.diff(days).to_numpy() ** 2)))
        if len(past) > days
        else 0.0
    )
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


def compare(data: Path, runs: list[Run]) -> str:
    """The report; every contender is scored on the slots that all of them forecast."""
    truth = truths(data)
    lines = ["# Forecasts beside others", "", __doc__.split("\n")[0], ""]
    lines += [
        f"Data: {data.name}. Last seven wear days per wearer, rolling origin, one thread.",
        "",
    ]
    lines += ["| | CPU-s, all targets | peak MiB |", "|---|---|---|"]
    lines += [f"| {r.name} | {r.cpu_s:.0f} | {r.peak_mib:.0f} |" for r in runs if r.cpu_s]
    for target in WORDS:
        lines += ["", *_target(truth[truth["target"] == target], target, runs)]
    return "\n".join(lines) + "\n"


def _target(truth: pd.DataFrame, target: str, runs: list[Run]) -> list[str]:
    both = truth
    for run in runs:
        own = run.predictions[run.predictions["target"] == target]
        own = own.rename(columns={q: f"{run.name} {q}" for q in ("q10", "q50", "q90", "mean")})
        both = both.merge(own, on=_KEYS)
    days = both["slot_local"].dt.normalize()
    wearers = both["wearer"].nunique()
    lines = [
        f"## {WORDS[target].capitalize()}: {wearers} wearers, "
        f"{len(pd.unique(both['wearer'].astype(str) + days.astype(str)))} days",
        "",
        "| | WQL | fitstream against it (95 % interval) | above q90 | below q10 | daily WAPE |",
        "|---|---|---|---|---|---|",
    ]
    losses = {run.name: _losses(both, run.name) for run in runs}
    order = sorted(losses, key=lambda name: losses[name].sum())
    size = both["y"].abs().sum()
    for name in order:
        against = "" if name == "fitstream" else _interval(both, losses["fitstream"], losses[name])
        above = (both["y"] > both[f"{name} q90"]).mean()
        below = (both["y"] < both[f"{name} q10"]).mean()
        sums = both.groupby(["wearer", days])[["y", f"{name} mean"]].sum()
        wape = (sums["y"] - sums[f"{name} mean"]).abs().sum() / sums["y"].sum()
        lines.append(
            f"| {name} | {losses[name].sum() / size:.4f} | {against} | {100 * above:.1f} % "
            f"| {100 * below:.1f} % | {wape:.3f} |"
        )
    return lines


def _losses(both: pd.DataFrame, name: str) -> np.ndarray:
    total = np.zeros(len(both))
    for level, q in ((0.1, "q10"), (0.5, "q50"), (0.9, "q90")):
        error = (both["y"] - both[f"{name} {q}"]).to_numpy()
        total += 2 * np.maximum(level * error, (level - 1) * error) / 3
    return total


def _interval(both: pd.DataFrame, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Relative difference of the WQLs, wearers resampled."""
    sums = pd.DataFrame({"wearer": both["wearer"].to_numpy(), "a": ours, "b": theirs})
    a, b = (sums.groupby("wearer")[c].sum().to_numpy() for c in ("a", "b"))
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size=_DRAWS)
    draws = counts @ a / (counts @ b) - 1
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{100 * (a.sum() / b.sum() - 1):+.1f} % ({100 * low:+.1f} to {100 * high:+.1f})"


if __name__ == "__main__":
    main()
