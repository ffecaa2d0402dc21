"""When devices are told to come back: spread, and later the longer Kafka is away."""

from datetime import timedelta

from fitstream.gateway.api.samples_post import next_post_at
from fitstream.gateway.retry_later import RetryLater
from tests.factories import NOW


def test_a_short_outage_calls_devices_back_at_once_and_a_long_one_over_minutes() -> None:
    later = RetryLater()
    assert 2 <= later.failed(1000.0) <= 3
    waits = [later.failed(1200.0) for _ in range(500)]
    assert min(waits) < 30
    assert max(waits) > 170
    assert max(later.failed(90_000.0) for _ in range(500)) <= 302


def test_an_outage_is_over_with_the_first_post_that_works() -> None:
    later = RetryLater()
    later.failed(1000.0)
    later.worked()
    assert later.failed(2000.0) <= 3


def test_next_posts_of_many_devices_are_spread_over_the_interval() -> None:
    minutes = [0] * 15
    for number in range(3000):
        at = next_post_at(f"dev_{number}", NOW, 900)
        assert NOW + timedelta(seconds=60) <= at <= NOW + timedelta(seconds=1860)
        minutes[int((at - NOW).total_seconds()) % 900 // 60] += 1
    assert min(minutes) > 120
    assert max(minutes) < 280
