"""`python -m benchmarks [name[:size=value,…] …]`: all bars, or the named ones."""

import sys
import time
import traceback
from importlib import import_module

from benchmarks.report import write

NAMES = (
    "ingest", "whole_way", "ledger", "roller", "freshness", "size", "memory", "start", "pages",
    "forecasts", "forecast", "today", "training", "search", "growth", "due",
)  # fmt: skip


def main(wanted: list[str]) -> int:
    """Runs the benchmarks one after another; 1 when any of them broke."""
    broken = 0
    for words in wanted or NAMES:
        name, _, sizes = words.partition(":")
        if name not in NAMES:
            print(f"no benchmark {name}; there are {', '.join(NAMES)}", file=sys.stderr)
            return 2
        started = time.monotonic()
        try:
            write(name, import_module(f"benchmarks.{name}").run(**_sizes(sizes)))
        except Exception:
            traceback.print_exc()
            broken = 1
        print(f"  {name} took {time.monotonic() - started:.0f} s", flush=True)
    return broken


def _sizes(text: str) -> dict[str, int]:
    pairs = [pair.split("=", 1) for pair in text.split(",") if pair]
    return {name: int(float(value)) for name, value in pairs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
