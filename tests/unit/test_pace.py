"""How long a training will still take is told by every kind of it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fitstream.gateway.view.work import progress_words
from fitstream.tasks import train_cohort, train_customer
from fitstream.tasks.pace import Pace
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.report import CohortRun


class Context:
    """Keeps what a job tells."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell(self, **progress: Any) -> None:
        self.told.append(progress)

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock that is asked for the pace."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_what_is_left_follows_from_what_is_over(seconds: list[float]) -> None:
    pace = Pace(done=4, began=seconds[0])  # four of a checkpoint
    assert pace.left_s(4, 10) is None
    seconds[0] += 3
    assert pace.left_s(6, 10) == 6.0
    assert pace.left_s(10, 10) == 0.0
    assert progress_words({"epoch": 6, "epochs": 10, "left_s": 6.0}) == "epoch 6 of 10, 6 s left"
    assert progress_words({"epoch": 4, "epochs": 10, "left_s": None}) == "epoch 4 of 10"


async def test_a_run_in_one_process_and_a_customers_run_tell_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(*given: Any) -> CohortRun:
        given[-2 if callable(given[-2]) else -1](1, 4, 0.5)
        return CohortRun(enough=False, verdict="")

    async def rival(_: Any) -> train_cohort.Rival:
        return train_cohort.Rival(None, None)

    async def finish(*_: Any) -> None:
        """Nothing to register."""

    monkeypatch.setattr(train_cohort, "_rival", rival)
    monkeypatch.setattr(train_cohort, "_finish", finish)
    monkeypatch.setattr(train_cohort.fit, "train_cohort", train)

    def adapt(*given: Any) -> Any:
        train(*given)
        return SimpleNamespace(verdict="", adapted={}, report={})

    monkeypatch.setattr(train_customer, "adapt", adapt)
    context: Any = Context()
    await train_cohort._do_here(context, {}, Recipe())
    nobody: Any = None
    await train_customer._adapt(context, nobody, (nobody, nobody))
    assert [each["phase"] for each in context.told] == ["training", "adapting"]
    assert all(each["epoch"] == 1 and each["left_s"] >= 0 for each in context.told)
