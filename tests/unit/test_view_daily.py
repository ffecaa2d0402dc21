"""What a person reads about their day: the comparison, and what is missing."""

from datetime import UTC, date, datetime, timedelta

import pytest

from fitstream.client.data import Device, Hour, HoursOfDay, Score
from fitstream.gateway.view.daily import greeting, missing, score_view, verdict

NOW = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)


def device(name: str = "Watch", **fields: object) -> Device:
    base = {"id": name, "kind": "watch", "name": name, "priority": 10, "created_at": NOW}
    return Device(**base | fields)  # type: ignore[arg-type]


def hours(**fields: object) -> HoursOfDay:
    base: dict[str, object] = {
        "day": date(2026, 11, 23),
        "zone": "UTC",
        "items": [Hour(hour=h, steps=100, measured=4, slots=4) for h in range(8, 12)],
        "usual": [Hour(hour=h, steps=100) for h in range(24)],
        "last_slot": NOW - timedelta(minutes=30),
    }
    return HoursOfDay(**base | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hour", "said"),
    [(3, "Good night"), (8, "Good morning"), (13, "Good afternoon"), (20, "Good evening")],
)
def test_greetings_follow_the_wearers_clock(hour: int, said: str) -> None:
    assert greeting(hour) == said


def test_a_half_day_is_compared_with_the_same_hours_only() -> None:
    assert verdict(hours(), 12) == "Close to your usual Monday"


def test_a_first_day_is_not_compared() -> None:
    assert verdict(hours(usual=[]), 12) == "400 steps so far"
    assert verdict(hours(items=[]), 12) == "Nothing measured yet today"


def test_a_device_that_synced_lately_is_left_alone() -> None:
    assert missing(hours(), [device()], NOW) == []


def test_a_silent_device_is_named_with_what_it_would_add() -> None:
    found = hours(last_slot=datetime(2026, 11, 23, 15, 15, tzinfo=UTC))
    assert missing(found, [device()], NOW) == [
        "“Watch” has not synced since 15:30. Open its app to add the last 2 hours."
    ]


def test_yesterdays_last_contact_names_the_day() -> None:
    found = hours(last_slot=datetime(2026, 11, 22, 15, 15, tzinfo=UTC))
    assert "since Sun 22 Nov 15:30" in missing(found, [device()], NOW)[0]


def test_nobody_without_a_device_is_told_to_sync_it() -> None:
    gone = device(removed_at=NOW)
    assert "No device is paired" in missing(hours(), [gone], NOW)[0]
    assert "has not sent anything yet" in missing(hours(last_slot=None), [device()], NOW)[0]


def test_hours_without_wearing_are_said_to_stay_a_gap() -> None:
    items = [Hour(hour=9, measured=0, slots=4), Hour(hour=10, measured=0, slots=4)]
    assert missing(hours(items=items), [device()], NOW) == [
        "Not worn for 2 hours today; that stays a gap."
    ]


def test_the_parts_of_a_score_are_out_of_their_weights() -> None:
    view = score_view(Score(71, 0.4, {"steps": 30.0, "active": 31.0, "regularity": 10.0}))
    assert view is not None
    assert [(part.points, part.of) for part in view.parts] == [(30, 40), (31, 40), (10, 20)]
    assert not view.is_sure
    assert score_view(None) is None
