"""Bounds of the hot path: a token bucket per key, and bytes that wait for the broker."""

from concurrent.futures import CancelledError
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.errors import TooMany, Unavailable
from fitstream.gateway.limits import InFlight, RateLimiter


def taken(rates: RateLimiter, key: str, now: float, times: int) -> int:
    """How many of so many posts at one instant pass."""
    passed = 0
    for _ in range(times):
        try:
            rates.take(key, now)
        except TooMany:
            continue
        passed += 1
    return passed


def test_a_burst_passes_and_what_exceeds_it_is_refused() -> None:
    assert taken(RateLimiter(1, 5), "a", 0, 20) == 5


def test_keys_do_not_take_from_each_other() -> None:
    rates = RateLimiter(1, 5)
    assert [taken(rates, key, 0, 20) for key in ("a", "b", "a")] == [5, 5, 0]


def test_tokens_come_back_with_time_and_never_exceed_the_burst() -> None:
    rates = RateLimiter(2, 5)
    assert [taken(rates, "a", now, 20) for now in (0, 1, 1.25, 1.5, 1000)] == [5, 2, 0, 1, 5]


@given(st.floats(0.1, 100), st.integers(1, 20), st.floats(0, 10))
def test_who_waits_as_long_as_told_passes_and_not_earlier(
    per_s: float, burst: int, start: float
) -> None:
    rates = RateLimiter(per_s, burst)
    assert taken(rates, "a", start, burst) == burst
    with pytest.raises(TooMany) as error:
        rates.take("a", start)
    wait_s = error.value.retry_after_s
    assert 0 < wait_s <= 1 / per_s
    assert taken(rates, "a", start + wait_s * 0.99, 1) == 0
    rates.take("a", start + wait_s + 1e-6)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_over_any_time_no_more_than_burst_and_rate_pass(gaps: list[float]) -> None:
    rates = RateLimiter(4, 3)
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        passed += taken(rates, "a", now, 2)
    assert passed <= 3 + 4 * now + 1e-6


def test_asking_in_vain_does_not_delay_the_next_token() -> None:
    rates = RateLimiter(1, 1)
    rates.take("a", 0)
    assert taken(rates, "a", 0.5, 50) == 0
    assert taken(rates, "a", 1.0, 1) == 1


def test_the_present_is_the_default() -> None:
    rates = RateLimiter(0.001, 1)
    rates.take("a")
    with pytest.raises(TooMany):
        rates.take("a")


def test_bytes_in_flight_are_bounded_and_given_back() -> None:
    in_flight = InFlight(100)
    with in_flight.holding() as take:
        take(50)
        take(10)
        with pytest.raises(Unavailable) as error, in_flight.holding() as more:
            more(41)
        assert error.value.retry_after_s > 0
        with in_flight.holding() as more:
            more(40)
    with in_flight.holding() as take:
        take(100)


@pytest.mark.parametrize("error", [ValueError, CancelledError, KeyboardInterrupt])
def test_bytes_are_given_back_however_the_block_ends(error: type[BaseException]) -> None:
    in_flight = InFlight(100)
    for _ in range(3):
        with suppress(error), in_flight.holding() as take:
            take(100)
            raise error
