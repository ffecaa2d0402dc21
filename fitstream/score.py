"""The activity score, 0 to 100: a documented formula, no black box (docs/models.md).

Absent data lowers the confidence, never the value: every part is a mean over measured days.
"""

from collections.abc import Sequence
from statistics import mean
from typing import Any

import msgspec

STEPS_GOAL = 8000
ACTIVE_GOAL_MIN = 150
ACTIVE_DAY_STEPS = 4000
WEIGHTS = {"steps": 40, "active": 40, "regularity": 20}


class Score(msgspec.Struct, frozen=True):
    """The score of the last seven days, its parts (0 to their weight) and its confidence 0…1."""

    value: int
    confidence: float
    parts: dict[str, float]


def score(days: Sequence[dict[str, Any]]) -> Score | None:
    """Score of up to seven entries of `combined.days`; None when none was worn.

    steps: mean daily steps against 8,000. active: moderate + 2 x vigorous minutes, scaled to a
    week, against 150; left out, and the others scaled to 100, where no device measures minutes.
    regularity: share of measured days with 4,000 steps or more.
    """
    worn = [day for day in days if day["worn"] and "steps" in day]
    if not worn:
        return None
    steps = min(mean(day["steps"] for day in worn) / STEPS_GOAL, 1)
    shares = {
        "steps": steps,
        "regularity": mean(day["steps"] >= ACTIVE_DAY_STEPS for day in worn),
    }
    active = [day for day in worn if "moderate_min" in day or "vigorous_min" in day]
    if active:
        minutes = mean(
            day.get("moderate_min", 0) + 2 * day.get("vigorous_min", 0) for day in active
        )
        shares["active"] = min(7 * minutes / ACTIVE_GOAL_MIN, 1)
    parts = {name: round(WEIGHTS[name] * share, 1) for name, share in shares.items()}
    value = 100 * sum(parts.values()) / sum(WEIGHTS[name] for name in parts)
    confidence = sum(day["measured"] for day in days) / max(sum(day["slots"] for day in days), 1)
    return Score(round(value), round(confidence, 2), parts)
