"""Synthetic wearers for the tests of the trainer."""

from datetime import date

import numpy as np
import torch

from fitstream.trainer.data import Series
from fitstream.trainer.models.kernel import PARTS, Kernel

torch.set_num_threads(1)  # as a worker does: threads would only wait for each other here
MONDAY = date(2026, 1, 5)


def make_series(
    name: str = "a", days: int = 20, seed: int = 0, worn: float = 1.0, heart: bool = True
) -> Series:
    """Days with a daily rhythm; a share of them worn, some slots missing."""
    rng = np.random.default_rng(seed)
    rhythm = np.clip(np.sin(np.linspace(-np.pi / 2, 1.5 * np.pi, 96)), 0, 1)
    steps = np.round(rng.gamma(0.5, 300, (days, 96)) * rhythm)
    calories = 18 + steps * 0.04 + rng.gamma(2, 1, (days, 96))
    heart_rate = 60 + steps * 0.03 + rng.normal(0, 3, (days, 96))
    if not heart:
        heart_rate[:] = np.nan
    heart_rate[rng.random((days, 96)) < 0.05] = np.nan
    values = {
        "steps": steps.astype(np.float32),
        "calories_kcal": calories.astype(np.float32),
        "heart_rate_bpm": heart_rate.astype(np.float32),
    }
    return Series(name, MONDAY, values, rng.random(days) < worn)


def even_kernel(
    sd: float = 2.0, half_life: float = 14.0, same_class: float = 0.3, weekday: float = 1.5
) -> Kernel:
    """The same factors at all times of the day, and nothing from the cohort."""
    return Kernel(
        sd_slots=(sd,) * PARTS,
        half_life_days=half_life,
        class_factor=(same_class,) * PARTS,
        weekday_factor=(weekday,) * PARTS,
        prior_days=(0.0,) * PARTS,
    )


def make_cohort(customers: int = 6, days: int = 20) -> dict[str, Series]:
    """A few synthetic wearers, every second without heart rate."""
    names = [f"c{i}" for i in range(customers)]
    return {
        name: make_series(name, days, seed=i, worn=0.9, heart=i % 2 == 0)
        for i, name in enumerate(names)
    }
