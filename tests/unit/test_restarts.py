"""Who crashes by its own doing is given up; who is killed from outside is not."""

from itertools import repeat
from signal import SIGKILL, SIGSEGV, SIGTERM

import pytest

from fitstream.process import EXIT_HALTED, EXIT_SETTINGS, EXIT_UNAVAILABLE
from fitstream.stack.restarts import (
    BACK_OFF_MAX_S,
    CALM_AFTER_S,
    CRASHES_MAX,
    KILLS_TOLD,
    Life,
    Restarts,
)


def after(*lives: Life) -> tuple[Restarts, list[float]]:
    """What is noted after these lives, and the pauses."""
    restarts = Restarts()
    return restarts, [restarts.ended(life) for life in lives]


@pytest.mark.parametrize(
    "life",
    [
        Life(1, 3.0, True),
        Life(0, 3.0, True),
        Life(-SIGSEGV, 3.0, True),
        Life(-SIGKILL, 3.0, False),
    ],
    ids=["an error", "an end for no reason", "a crash of its own", "killed before it was ready"],
)
def test_who_ends_by_its_own_doing_again_and_again_is_given_up(life: Life) -> None:
    restarts, _ = after(*repeat(life, CRASHES_MAX - 1))
    assert not restarts.is_hopeless(life)
    restarts.ended(life)
    assert restarts.is_hopeless(life)


@pytest.mark.parametrize("number", [SIGKILL, SIGTERM])
def test_who_works_and_is_killed_from_outside_is_started_again_for_ever_with_an_alarm(
    number: int,
) -> None:
    life = Life(-number, 3.0, True)
    restarts, pauses = after(*repeat(life, 40))
    assert not restarts.is_hopeless(life)
    assert pauses == sorted(pauses)
    assert pauses[-1] == BACK_OFF_MAX_S
    alarms = [after(*repeat(life, times))[0].is_alarming for times in range(12)]
    assert [times for times, alarm in enumerate(alarms) if alarm] == [KILLS_TOLD, KILLS_TOLD * 2]


@pytest.mark.parametrize("code", [EXIT_UNAVAILABLE, EXIT_HALTED])
def test_waiting_is_no_crash(code: int) -> None:
    life = Life(code, 0.5, False)
    restarts, _ = after(*repeat(life, 50))
    assert not restarts.is_hopeless(life)


def test_wrong_settings_are_given_up_at_once() -> None:
    life = Life(EXIT_SETTINGS, 0.5, False)
    assert after(life)[0].is_hopeless(life)


def test_a_calm_life_makes_what_was_before_forgotten() -> None:
    crash, calm = Life(1, 3.0, True), Life(1, CALM_AFTER_S + 1, True)
    restarts, pauses = after(*repeat(crash, CRASHES_MAX - 1), calm, *repeat(crash, CRASHES_MAX - 2))
    assert not restarts.is_hopeless(crash)
    assert pauses[CRASHES_MAX - 1] == pauses[0] < pauses[1]


def test_kills_and_crashes_are_counted_apart() -> None:
    killed, crashed = Life(-SIGKILL, 3.0, True), Life(1, 3.0, True)
    restarts, _ = after(*(life for _ in range(CRASHES_MAX - 1) for life in (killed, crashed)))
    assert not restarts.is_hopeless(killed)
    restarts.ended(crashed)
    assert restarts.is_hopeless(crashed)
