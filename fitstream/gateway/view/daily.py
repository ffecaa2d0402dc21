"""One day of a customer in words: greeting, verdict, what is missing, the score. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from fitstream.client.data import Device, Hour, HoursOfDay, Score
from fitstream.gateway.view import words
from fitstream.gateway.view.weekly import compared
from fitstream.score import WEIGHTS

_PARTS = {
    "steps": ("Steps", "mean of the week's days against 8,000"),
    "active": ("Active minutes", "moderate plus twice vigorous, against 150 a week"),
    "regularity": ("Regularity", "share of days with 4,000 steps or more"),
}
_SYNC_EXPECTED = timedelta(hours=1)
_SURE = 0.6


class ScorePart(NamedTuple):
    """One part of the score, of how many points."""

    name: str
    rule: str
    points: float
    of: int


class ScoreView(NamedTuple):
    """The score, how much of a ring of 100 it fills, and whether its data suffices."""

    value: int
    parts: list[ScorePart]
    confidence: float
    is_sure: bool


def greeting(hour: int) -> str:
    """By the wearer's clock."""
    if hour < 5 or hour >= 22:
        return "Good night"
    return "Good morning" if hour < 12 else "Good afternoon" if hour < 18 else "Good evening"


def day_total(items: Sequence[Hour], metric: str) -> float | None:
    """Sum over the hours that measured it, None when none did."""
    values = [value for hour in items if (value := hour.value(metric)) is not None]
    return sum(values) if values else None


def verdict(found: HoursOfDay, through: int | None) -> str:
    """The day's steps against the usual ones of the same hours; `through` is the current hour."""
    total = day_total(found.items, "steps")
    if total is None:
        return "Nothing measured yet today" if through is not None else "Nothing measured"
    measured = {hour.hour for hour in found.items if hour.steps is not None}
    usual = day_total([hour for hour in found.usual if hour.hour in measured], "steps")
    if usual is None:
        return f"{words.number(total)} steps so far" if through is not None else "Your first day"
    return compared(total, usual, f"usual {found.day:%A}")


def missing(found: HoursOfDay, devices: Sequence[Device], now: datetime) -> list[str]:
    """What is missing today and the cheapest way to complete it."""
    active = [device for device in devices if device.removed_at is None]
    if not active:
        return ["No device is paired with you yet. Add one, and your days go on."]
    name = f"“{active[0].name}”" if len(active) == 1 else "None of your devices"
    if found.last_slot is None:
        return [f"{name} has not sent anything yet. Wear it, then open its app to sync."]
    end = found.last_slot + timedelta(minutes=15)
    if now - end < _SYNC_EXPECTED:
        return _unworn(found)
    since = end.astimezone(words.known_zone(found.zone))
    is_today = since.date() == found.day
    at = f"{since:%H:%M}" if is_today else words.clock_of(end, found.zone)
    verb = "has synced" if len(active) > 1 else "has not synced"
    last = words.span_of(now - end)
    return [f"{name} {verb} since {at}. Open its app to add the last {last}.", *_unworn(found)]


def score_view(score: Score | None) -> ScoreView | None:
    """The score and its parts in words; None while no day of the week was worn."""
    if score is None:
        return None
    parts = [
        ScorePart(name, rule, score.parts.get(key, 0.0), WEIGHTS[key])
        for key, (name, rule) in _PARTS.items()
    ]
    return ScoreView(score.value, parts, score.confidence, score.confidence >= _SURE)


def _unworn(found: HoursOfDay) -> list[str]:
    slots = sum(hour.slots - hour.measured for hour in found.items)
    if slots < 4:
        return []
    return [f"Not worn for {words.span_of(timedelta(minutes=15 * slots))} today; that stays a gap."]
