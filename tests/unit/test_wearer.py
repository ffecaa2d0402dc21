"""A virtual wearer is the same whoever asks, and nothing it measures is ever refused."""

from datetime import UTC, datetime, timedelta
from statistics import correlation, mean

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fitstream import posts, samples
from fitstream.clock import DAY_SLOTS, slot_of, slot_start
from fitstream.merge import METRICS, NAMES, NOTHING, Values, unscaled
from fitstream.simulate.wearer import Wearer

MONDAY = slot_of(datetime(2026, 11, 16, tzinfo=UTC))
SEEDS = st.integers(0, 2**63 - 1)
NUMBERS = st.integers(0, 10**6)


def _metric(rows: list[Values], name: str) -> list[float]:
    index = NAMES.index(name)
    return [row[index] / METRICS[index].scale for row in rows if row[index] is not None]


def _worn(numbers: range, days: int) -> list[Values]:
    slots = range(MONDAY, MONDAY + days * DAY_SLOTS)
    rows = [Wearer(1, number).values(slot) for number in numbers for slot in slots]
    return [row for row in rows if row != NOTHING]


@given(SEEDS, NUMBERS, st.integers(0, 4 * 10**6))
def test_the_same_slot_is_the_same_whoever_asks_and_in_whatever_order(
    seed: int, number: int, slot: int
) -> None:
    asked_before = Wearer(seed, number)
    for other in (slot + 70, slot - 70, slot + 1):
        asked_before.values(other)
    assert asked_before.values(slot) == Wearer(seed, number).values(slot)


@settings(max_examples=25)
@given(SEEDS, NUMBERS, st.integers(2020, 2037), st.integers(0, 360))
def test_a_day_of_anybody_is_accepted_as_it_is(seed: int, number: int, year: int, day: int) -> None:
    start = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day)
    first, wearer = slot_of(start), Wearer(seed, number)
    slots = range(first, first + DAY_SLOTS)
    expected = [wearer.values(slot) for slot in slots]
    rows = [
        {"slot": slot_start(slot).isoformat(), "tz_offset_min": wearer.offset_min(slot)}
        | unscaled(values)
        for slot, values in zip(slots, expected, strict=True)
    ]
    body = msgspec.json.encode({"device_id": "d", "sent_at": start, "samples": rows})
    window = samples.window(start + timedelta(days=1), 400)
    checked = samples.check(posts.decode_json(body, 2000), window)
    assert checked.rejected == []
    assert checked.accepted == DAY_SLOTS
    columns = [getattr(checked.columns, name) or [None] * DAY_SLOTS for name in NAMES]
    assert list(zip(*columns, strict=True)) == expected


def test_another_seed_number_or_slot_is_another_measurement() -> None:
    noon = range(MONDAY + 48, MONDAY + 64)
    seen = {
        Wearer(seed, number).values(slot) for seed in (1, 2) for number in (1, 2) for slot in noon
    }
    assert len(seen) > 32


def test_another_take_differs_a_little() -> None:
    wearer = Wearer(1, 1)
    slots = range(MONDAY, MONDAY + DAY_SLOTS)
    changed = [wearer.values(s) != wearer.values(s, take=1) for s in slots]
    assert sum(changed) > DAY_SLOTS / 2


def test_a_population_walks_sleeps_and_burns_like_people() -> None:
    people = range(12)
    rows = _worn(people, 7)
    person_days = len(rows) / DAY_SLOTS
    assert 5000 < sum(_metric(rows, "steps")) / person_days < 12_000
    assert 5.5 < sum(_metric(rows, "sleep_min")) / person_days / 60 < 8.5
    assert 1600 < sum(_metric(rows, "calories_kcal")) / person_days < 3200
    assert 55 < mean(_metric(rows, "heart_rate_bpm")) < 85
    assert 0.9 < len(rows) / (7 * DAY_SLOTS * len(people)) < 1.0


def test_what_moves_together_in_people_moves_together_here() -> None:
    rows = _worn(range(4), 7)
    steps = _metric(rows, "steps")
    assert correlation(steps, _metric(rows, "heart_rate_bpm")) > 0.5
    assert correlation(steps, _metric(rows, "calories_kcal")) > 0.5
    assert correlation(steps, _metric(rows, "distance_m")) > 0.9
    assert correlation(steps, _metric(rows, "sleep_min")) < -0.2


def test_nights_are_quiet_and_weekends_begin_later() -> None:
    first_moves: dict[bool, list[int]] = {True: [], False: []}
    nights: list[int] = []
    for number in range(12):
        wearer = Wearer(3, number)
        for day in range(7):
            midnight = MONDAY + day * DAY_SLOTS - wearer.offset_min(MONDAY) // 15
            rows = [wearer.values(slot) for slot in range(midnight, midnight + DAY_SLOTS)]
            awake = (i for i, row in enumerate(rows[8:], 8) if row != NOTHING and row[10] == 0)
            first_moves[day >= 5].append(next(awake))
            nights.append(sum(row[0] for row in rows[8:16] if row[0] is not None))
    assert mean(nights) < 250
    assert mean(first_moves[True]) > mean(first_moves[False]) + 2
