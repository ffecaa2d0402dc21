"""Start: `fitstream up` until everything answers, on a new folder and on the same again."""

import time
from pathlib import Path

from benchmarks import cpu
from benchmarks.report import Bar, Report
from benchmarks.stack import folder, stack


def run() -> Report:
    """The jars are there already: fetching them happens once per machine."""
    with folder() as data:
        first, second = _start(data), _start(data)
    rows = [
        {"start": name, "seconds": round(took, 1), "cpu_s": round(used, 1)}
        for name, (took, used) in (("first", first), ("second", second))
    ]
    worst = max(first[0], second[0])
    measured = f"{first[0]:.0f} s, {second[0]:.0f} s ({first[1]:.0f} and {second[1]:.0f} CPU-s)"
    return Report(rows, [Bar("start, first and second", measured, "≤ 30 s", worst <= 30)])


def _start(data: Path) -> tuple[float, float]:
    """Seconds until ready, and CPU-seconds of everything that was started."""
    started = time.monotonic()
    with stack(whole=True, data=data) as running:
        return time.monotonic() - started, cpu.seconds(running.run.supervisor)
