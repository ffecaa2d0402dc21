"""What the cohort suggests for a customer, against the same done slowly member by member."""

import numpy as np
import pytest

from fitstream.trainer.cohort import PRIOR, make_cohort, mark_of, no_cohort, place_of
from fitstream.trainer.data import SLOTS, TARGETS
from tests.unit.trainer_factories import make_series

MEMBERS = [make_series(name, days, seed=i) for i, (name, days) in enumerate(
    [("a", 20), ("b", 5), ("c", 14), ("d", 20)]
)]  # fmt: skip


def blurred(rows: np.ndarray) -> np.ndarray:
    """Mean day, over half an hour around each slot with midnight beside midnight."""
    weights = {step: np.exp(-0.5 * (step / 2.0) ** 2) for step in range(-8, 9)}
    out = np.empty(SLOTS)
    for slot in range(SLOTS):
        near = [(rows[:, (slot + step) % SLOTS], weight) for step, weight in weights.items()]
        top = sum(weight * np.nansum(column) for column, weight in near)
        out[slot] = top / sum(weight * np.isfinite(column).sum() for column, weight in near)
    return out


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("is_weekend", [False, True])
def test_members_alike_count_more_and_the_own_entry_not_at_all(
    target: str, is_weekend: bool
) -> None:
    cohort = make_cohort([(each, each.days) for each in MEMBERS], target)
    me = MEMBERS[0]
    rows = me.worn(target)
    place = place_of(rows, target)
    assert place is not None
    profile = blurred((rows - place.low) / place.spread)
    weights, tables = [], []
    for number in range(len(cohort)):
        table = cohort.table[number, int(is_weekend)]
        if cohort.marks[number] != mark_of("a") and np.isfinite(table[0, 0]):
            weights.append(-((cohort.profile[number] - profile) ** 2).mean() / 0.1)
            tables.append(table)
    assert len(tables) == (2 if is_weekend else 3)  # "b" has no weekend
    shares = np.exp(np.array(weights) - max(weights))
    unit = np.tensordot(shares / shares.sum(), np.stack(tables), axes=1)
    spread = (me.days * place.spread + cohort.spread) / (me.days + 1)
    expected = np.maximum(place.low + spread * unit, 0)
    found = cohort.prior("a", rows, target, is_weekend)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-3)


def test_nobody_suggests_nothing() -> None:
    rows = MEMBERS[0].worn("steps")
    assert np.isnan(no_cohort().prior("a", rows, "steps", False)).all()
    alone = make_cohort([(MEMBERS[0], 20)], "steps")
    assert alone.prior("a", rows, "steps", False).shape == (SLOTS, PRIOR)
    assert np.isnan(alone.prior("a", rows, "steps", False)).all()


def test_the_resting_rate_is_the_five_per_cent_quantile() -> None:
    for size in (1, 2, 21, 500):
        rows = np.random.default_rng(size).gamma(2, 10, (1, size)).astype(np.float32)
        place = place_of(rows, "calories_kcal")
        if size > 1:
            assert place is not None
            assert place.low == pytest.approx(np.quantile(rows, 0.05), rel=1e-5)
