"""The tables of many series of faults: what was done, what was seen, how soon all worked again."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import FOLDER, Bar, Report, write
from tests.faults.strikes import JVM

if TYPE_CHECKING:
    from benchmarks.faults import Series

_WORDS = """# Random faults

Written by `python -m benchmarks.faults --table` from `faults_series.jsonl`, where each line is one
series of at most 50 kills on real processes: two ledgers, two rollers, two dispatchers, Kafka,
Postgres, Valkey and S3Proxy. Several victims suffer at once while fleets post with late, repeated,
corrected, deleted, conflicting and bad rows. After each series everything must come to rest, the
ledger must equal the pure merge of what was acknowledged since the system was started, and
`fitstream verify` must find nothing.
A kill is SIGKILL, or `os._exit` at a named crash point (SIGKILL again when the point was not passed
within 12 s). The same seed gives the same strikes; what they hit depends on the machine.
"""


def write_table(series: "Sequence[Series]") -> None:
    """results/faults.md and the lines in results/README.md."""
    struck = [each for one in series for each in one.strikes]
    lines = [
        _WORDS,
        "## Series\n",
        *_table(["seed", "series", "kills", "freezes", "acknowledged slots", "lost", "doubled",
                 "wrong", "s", "commit"],
                [[one.seed, one.number, one.kills, _count(one.strikes, "freeze"),
                  f"{one.acknowledged:,}", one.lost, one.doubled, len(one.wrong),
                  round(one.seconds), one.commit] for one in series]),
        "\n## Events that such a run must see\n",
        *_table(["event", "times"], [[name, f"{n:,}"] for name, n in _events(series).items()]),
        "\n## Until a victim works again\n",
        "Seconds from the kill until the successor is ready, others being down at the same time.\n",
        *_table(["victim", "kill −9", "armed at a point", "freezes", "p50 s", "p99 s", "longest s"],
                _recovery(struck)),
    ]  # fmt: skip
    (FOLDER / "faults.md").write_text("\n".join(lines) + "\n")
    write("faults", _report(series, struck))


def _report(series: "Sequence[Series]", struck: Sequence[Any]) -> Report:
    kills = sum(one.kills for one in series)
    slots = sum(one.acknowledged for one in series)
    jvm = sum(each.victim in JVM and each.how == "kill" for each in struck)
    lost, doubled = sum(one.lost for one in series), sum(one.doubled for one in series)
    wrong = sum(len(one.wrong) for one in series) - lost - doubled
    seen = ", ".join(f"{name} {times:,}" for name, times in _events(series).items())
    unseen = [name for name, times in _events(series).items() if not times]
    rows = [dict(zip(("victim", "kill -9", "crash point", "freezes", "p50 s", "p99 s", "max s"),
                     row, strict=True)) for row in _recovery(struck)]  # fmt: skip
    measured = f"{lost} lost, {doubled} doubled, {wrong} otherwise wrong"
    name = f"{kills:,} kills in {len(series)} series, {slots:,} acknowledged slots"
    return Report(
        rows,
        [
            Bar(name, measured, "0 lost, 0 doubled", lost + doubled + wrong == 0),
            Bar("… of them of JVMs", f"{jvm / max(kills, 1):.1%}", "≤ 5 %", jvm <= 0.05 * kills),
            Bar("… events seen", seen, "each", not unseen),
        ],
        {"seeds": ", ".join(str(seed) for seed in sorted({one.seed for one in series}))},
    )


def _events(series: "Sequence[Series]") -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in series:
        total.update(dict.fromkeys(one.events, 0))
        total.update(one.events)
    return dict(total)


def _recovery(struck: Sequence[Any]) -> list[list[Any]]:
    rows = []
    for name in sorted({each.victim for each in struck}):
        mine = [each for each in struck if each.victim == name]
        times = [each.back_s for each in mine if each.how in ("kill", "crash")]
        figures = [f"{value:.1f}" for value in np.percentile(times, [50, 99, 100])] if times else []
        counts = [_count(mine, how) for how in ("kill", "crash", "freeze")]
        if any(counts):
            rows.append([name, *counts, *(figures or ["–"] * 3)])
    return rows


def _count(struck: Sequence[Any], how: str) -> int:
    return sum(each.how == how for each in struck)


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows),
    ]
