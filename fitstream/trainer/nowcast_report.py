"""What came of a target's nowcast, as plain values and in words.

Must not compute forecasts and must not need torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fitstream.trainer.metrics import Interval
from fitstream.trainer.models.nowcast import Nowcast, NowcastShape

KERNEL, MIDNIGHT, FLAT, NOWCAST = "kernel alone", "midnight", "no_time_of_day", "nowcast"
MIN_DAYS = 100  # to learn from: with fewer nothing was found that holds
_DIGITS = 5


@dataclass(frozen=True, eq=False)
class Nowcasted:
    """One target: the nowcast where it serves, and what was found.

    `chosen` is None where there was too little to learn from or to judge by, or nothing better than
    the kernel on the stop days. `gate` is WQL of the next hour against each rival; `wql` that of
    the next slot and the next hour by name; `days` how many days each part of the split had.
    """

    target: str
    nowcast: Nowcast | None = None
    chosen: NowcastShape | None = None
    gate: Mapping[str, Interval] = field(default_factory=dict)
    wql: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    days: Mapping[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every interval excludes zero on the good side."""
        return bool(self.gate) and all(each.high < 0 for each in self.gate.values())


def report_of(found: Nowcasted) -> dict[str, Any]:
    """As the card holds it."""
    return {
        "serves": found.nowcast is not None,
        "chosen": msgspec.to_builtins(found.chosen),
        "days": dict(found.days),
        "gate": {
            name: {key: round(value, _DIGITS) for key, value in each._asdict().items()}
            for name, each in found.gate.items()
        },
        "today": [
            {"ahead": ahead, "wql": {name: round(value, _DIGITS) for name, value in each.items()}}
            for ahead, each in found.wql.items()
        ],
    }


def sentence_of(found: Sequence[Nowcasted], words: Mapping[str, str], show: Any) -> str:
    """Who serves the rest of today, and why; empty where no target was tried."""
    if not found:
        return ""
    judged = [each for each in found if each.gate]
    if not judged:
        few = all(each.days.get("train", 0) < MIN_DAYS for each in found)
        why = f"{MIN_DAYS} days to learn from are needed" if few else "nothing was better"
        return f"The rest of today is told by the kernel alone: {why}."
    figures = "; ".join(f"{words[each.target]} {show(each.gate[KERNEL])}" for each in judged)
    won = [words[each.target] for each in judged if each.passed]
    who = (
        f"networks of the next hour serve {' and '.join(won)}"
        if won
        else "networks of the next hour were not better with certainty, so the kernel serves alone"
    )
    return (
        f"For the rest of today {who}. WQL of the next hour against the kernel alone on the days "
        f"of the gate, with 95 % interval: {figures}."
    )
