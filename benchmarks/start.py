"""Start: `fitstream up` until everything answers, on a new folder and on the same again."""

import time
from pathlib import Path

from benchmarks.report import Bar, Report
from benchmarks.stack import folder, stack


def run() -> Report:
    """The jars are there already: fetching them happens once per machine."""
    with folder() as data:
        first, second = _start(data), _start(data)
    rows = [{"start": "first", "seconds": first}, {"start": "second", "seconds": second}]
    worst = max(first, second)
    bars = [Bar("start, first and second", f"{first:.1f} s, {second:.1f} s", "≤ 30 s", worst <= 30)]
    return Report(rows, bars)


def _start(data: Path) -> float:
    started = time.monotonic()
    with stack(whole=True, data=data):
        return round(time.monotonic() - started, 1)
