"""Whether a run's model takes the champion's place, and that the verdict says why."""

from typing import Any

import pytest

from fitstream.trainer.judging import standing
from fitstream.trainer.metrics import Interval

BETTER, WORSE = Interval(-0.02, -0.03, -0.01), Interval(0.02, 0.01, 0.03)
TIE = Interval(-0.001, -0.01, 0.008)


class Judged:
    """A target whose model lies so far from the champion's on the test days."""

    champion, seed = "mixture", 0

    def __init__(self, target: str, against: Interval) -> None:
        self.target, self.against, self.test = target, against, self

    def compare(self, *_: Any) -> Interval:
        return self.against


class Champion:
    def __init__(self, *targets: str) -> None:
        self.targets = targets


def test_without_a_champion_it_serves_and_nothing_is_compared() -> None:
    assert standing([Judged("steps", WORSE)], None) == (True, "")


@pytest.mark.parametrize(
    ("found", "known", "replaces", "said"),
    [
        ({"steps": BETTER}, ("steps",), True, "steps -2.0 % (-3.0 to -1.0); it may take"),
        ({"steps": TIE}, ("steps",), False, "steps -0.1 % (-1.0 to +0.8); that one stays"),
        ({"steps": BETTER, "calories_kcal": WORSE}, ("steps", "calories_kcal"), False, "+2.0 %"),
        ({"steps": TIE, "calories_kcal": TIE}, ("steps",), True, "which that one does not"),
        ({"steps": BETTER}, ("steps", "heart_rate_bpm"), False, "it also forecasts heart rate."),
        ({"steps": WORSE, "calories_kcal": TIE}, ("steps",), False, "that one stays"),
    ],
)
def test_it_takes_the_place_for_a_gain_that_costs_nothing(
    found: dict[str, Interval], known: tuple[str, ...], replaces: bool, said: str
) -> None:
    outcomes: Any = [Judged(target, against) for target, against in found.items()]
    champion: Any = Champion(*known)
    came = standing(outcomes, champion)
    assert came.replaces is replaces
    assert said in came.words
