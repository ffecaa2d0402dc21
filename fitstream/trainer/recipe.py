"""What a cohort run was asked to do: with the dataset hash it names a run for good."""

from hashlib import sha256

import msgspec

from fitstream.trainer.data import TARGETS
from fitstream.trainer.windows import Reach


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Every choice a run makes before it sees data; equal recipe and data give an equal model.

    `budget_s` sizes the search once, in seconds of one thread; nothing looks at a clock after that.
    """

    seed: int = 0
    budget_s: int = 60
    test_days: int = 7
    targets: tuple[str, ...] = TARGETS
    history_days: int = 56
    reach_slots: int = 3
    max_windows: int = 640
    patience: int = 6

    @property
    def reach(self) -> Reach:
        """How far the models of this run look."""
        return Reach(self.history_days, self.reach_slots)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the recipe's canonical JSON."""
    return sha256(msgspec.json.encode(recipe, order="sorted")).hexdigest()


class CustomerRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """Every choice of a customer run before it sees data; the base model is one of them."""

    base_model: str
    seed: int = 0
    targets: tuple[str, ...] = TARGETS
    test_days: int = 7
    epochs: int = 8
    patience: int = 3


def customer_recipe_hash(recipe: CustomerRecipe) -> str:
    """SHA-256 of the recipe's canonical JSON."""
    return sha256(msgspec.json.encode(recipe, order="sorted")).hexdigest()
