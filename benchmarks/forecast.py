"""Forecasts beside what a data scientist would use instead: accuracy, CPU-seconds, peak memory.

`python -m benchmarks.forecast [--peers PYTHON] [--budget-s N] [--keep DIR] [NAME…]`, PYTHON being
that of an environment made from requirements-forecast.txt. Each contender is a process of its own
with one thread and a time limit; all are scored here, on the same slots. Writes
results/forecast.md and forecast.json. With DIR a run that was cut off goes on where it was: a
contender that finished there is not run again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from benchmarks.forecast_scores import (
    OURS,
    Run,
    Score,
    baselines,
    compare,
    joined,
    truths,
)
from benchmarks.report import Bar, Report, write
from fitstream.trainer.report import WORDS

_ROOT = Path(__file__).parent.parent
_DATASET = _ROOT / "dataset" / "wearers_15min.parquet"
_RESULT = Path(__file__).parent / "results" / "forecast.md"
_PEERS = ("autoets", "lightgbm", "autogluon")
_PEERS_PYTHON = "FORECAST_PEERS_PYTHON"
_LIMIT_S = 5400.0
_ERROR_LINES = 3
_RIVALS = ("lightgbm", "autogluon", "climatology")  # the bars are against the best of these
_GAINS = {"steps": 2.5, "calories_kcal": 3.5, "heart_rate_bpm": 3.0}
_WAPES = {"steps": 0.33, "calories_kcal": 0.085}


class Failed(NamedTuple):
    """A contender that gave nothing, and the last words of its error."""

    name: str
    error: str


class Order(NamedTuple):
    """What to compare, on what data, where finished contenders are kept."""

    data: Path
    keep: Path
    peers: str
    budget_s: int
    names: tuple[str, ...]


def main() -> None:
    """Runs, scores, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=os.environ.get(_PEERS_PYTHON, ""))
    parser.add_argument("--budget-s", type=int, default=240)
    parser.add_argument("--data", type=Path, default=_DATASET)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("names", nargs="*", default=[OURS, *_PEERS])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keep = asked.keep or Path(folder)
        order = Order(asked.data, keep, asked.peers, asked.budget_s, tuple(asked.names))
        report = measured(order)
    if report is not None and asked.data == _DATASET:
        write("forecast", report)


def run(budget: int = 240) -> Report:
    """As `main` on the dataset; the peers only where FORECAST_PEERS_PYTHON names their Python."""
    peers = os.environ.get(_PEERS_PYTHON, "")
    with tempfile.TemporaryDirectory() as folder:
        names = (OURS, *(_PEERS if peers else ()))
        report = measured(Order(_DATASET, Path(folder), peers, budget, names))
    assert report is not None
    return report


def measured(order: Order) -> Report | None:
    """All contenders on the same slots; None where fitstream itself was not asked for."""
    order.keep.mkdir(parents=True, exist_ok=True)
    found = [_contender(name, order) for name in order.names]
    runs = [each for each in found if isinstance(each, Run)]
    failed = [each for each in found if isinstance(each, Failed)]
    for each in failed:
        print(f"{each.name} is left out: {each.error}", file=sys.stderr)
    if OURS not in {each.name for each in runs}:
        return None
    runs += baselines(order.data)
    scores = compare(order.data, runs)
    text = _text(order, (runs, failed), scores)
    print(text)
    if order.data == _DATASET:
        _RESULT.write_text(text)
    costs = {each.name: each for each in runs}
    rows: list[dict[str, Any]] = [
        msgspec.to_builtins(score)
        | {"cpu_s": round(costs[score.model].cpu_s), "peak_mib": round(costs[score.model].peak_mib)}
        for score in scores
    ]
    sizes = {"budget_s": order.budget_s, "left_out": {each.name: each.error for each in failed}}
    return Report(rows, _bars(scores), sizes)


def _contender(name: str, order: Order) -> Run | Failed:
    """Runs one in a process of its own, or takes what it left when it finished before."""
    out, cost = order.keep / f"{name}.parquet", order.keep / f"{name}.json"
    if not cost.exists():
        try:
            if name == OURS:
                used = _evaluate(order, out)
            else:
                script = Path(__file__).parent / "forecast_peers.py"
                used = _measured([order.peers, str(script), name, str(order.data), str(out)])
        except (subprocess.CalledProcessError, OSError) as error:
            words = getattr(error, "stderr", None) or str(error)
            return Failed(name, " / ".join(words.strip().splitlines()[-_ERROR_LINES:]))
        cost.write_bytes(msgspec.json.encode(used))
    cpu_s, peak = msgspec.json.decode(cost.read_bytes(), type=tuple[float, float])
    return Run(name, pd.read_parquet(out), cpu_s, peak)


def _evaluate(order: Order, out: Path) -> tuple[float, float]:
    folder = order.keep / OURS
    command = [sys.executable, "-m", "fitstream", "evaluate", "--data", str(order.data)]
    command += ["--out", str(folder), "--budget-s", str(order.budget_s)]
    used = _measured(command)
    (folder / "predictions.parquet").replace(out)
    return used


def _measured(command: list[str]) -> tuple[float, float]:
    """CPU-seconds and peak MiB of a command that succeeds; raises CalledProcessError with what it
    said last."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=_ROOT, env=os.environ | one, stderr=said)
        late = threading.Timer(_LIMIT_S, process.kill)
        late.start()
        _, status, used = os.wait4(process.pid, 0)
        is_late = not late.is_alive()
        late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            words = f"not finished after {_LIMIT_S:.0f} s" if is_late else said.read()
            raise subprocess.CalledProcessError(process.returncode, command, stderr=words)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _bars(scores: list[Score]) -> list[Bar]:
    bars = []
    for target, gain in _GAINS.items():
        found = {score.model: score for score in scores if score.target == target}
        best = min((found[n] for n in _RIVALS if n in found), key=lambda s: s.wql, default=None)
        if best is None or best.against is None or OURS not in found:
            continue
        name = f"forecast, WQL of {WORDS[target]} against the best of {', '.join(_RIVALS)}"
        reached = best.against[0] <= -gain and best.against[2] < 0
        bars.append(Bar(name, f"{_words(best.against)} ({best.model})", f"≤ −{gain} %", reached))
        if target in _WAPES:
            wape, most = found[OURS].daily_wape, _WAPES[target]
            bars.append(Bar("… WAPE of a day's total", f"{wape:.3f}", f"≤ {most}", wape <= most))
    return bars


def _text(order: Order, found: tuple[list[Run], list[Failed]], scores: list[Score]) -> str:
    runs, failed = found
    lines = [
        "# Forecasts beside others", "", __doc__.split("\n")[0], "",
        f"Data: {order.data.name}. Last seven wear days per wearer, rolling origin, one thread, "
        f"budget of fitstream's search {order.budget_s} s.", "",
    ]  # fmt: skip
    lines += ["| | CPU-s, all targets | peak MiB |", "|---|---|---|"]
    lines += [f"| {r.name} | {r.cpu_s:.0f} | {r.peak_mib:.0f} |" for r in runs if r.cpu_s]
    lines += ["", *(f"Left out: {each.name}: {each.error}" for each in failed)]
    truth = truths(order.data)
    for target in WORDS:
        rows = [score for score in scores if score.target == target]
        if rows:
            both = joined(truth[truth["target"] == target], target, runs)
            lines += ["", *_table(rows, both)]
    return "\n".join(lines) + "\n"


def _table(rows: list[Score], both: pd.DataFrame) -> list[str]:
    days = both["wearer"].astype(str) + both["slot_local"].dt.date.astype(str)
    lines = [
        f"## {WORDS[rows[0].target].capitalize()}: {both['wearer'].nunique()} wearers, "
        f"{days.nunique()} days",
        "",
        "| | WQL | fitstream against it (95 % interval) | above q90 | below q10 | daily WAPE |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        against = _words(row.against) if row.against else ""
        lines.append(
            f"| {row.model} | {row.wql:.4f} | {against} | {100 * row.above_q90:.1f} % "
            f"| {100 * row.below_q10:.1f} % | {row.daily_wape:.3f} |"
        )
    return lines


def _words(against: tuple[float, float, float]) -> str:
    middle, low, high = against
    return f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    main()
