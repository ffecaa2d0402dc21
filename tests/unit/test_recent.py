"""What is kept for a few seconds is computed once, and an error is not kept."""

import asyncio

import pytest

from fitstream.errors import Unavailable
from fitstream.gateway import recent as module
from fitstream.gateway.recent import Recent


class Counter:
    """Counts how often it was asked; fails while `is_away`."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_away = False

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("postgres")
        return self.asked


async def test_all_who_ask_at_once_get_one_answer() -> None:
    recent, counter = Recent[int](60), Counter()
    assert await asyncio.gather(*(recent.get("a", counter) for _ in range(9))) == [1] * 9
    assert await recent.get("a", counter) == 1
    assert await recent.get("b", counter) == 2


async def test_what_is_too_old_is_asked_again() -> None:
    recent, counter = Recent[int](0, share=0), Counter()
    assert [await recent.get("a", counter) for _ in range(3)] == [1, 2, 3]


async def test_an_error_is_told_and_not_kept() -> None:
    recent, counter = Recent[int](60), Counter()
    counter.is_away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await recent.get("a", counter)
    counter.is_away = False
    assert await recent.get("a", counter) == 3


async def test_one_who_gives_up_does_not_take_the_answer_from_others() -> None:
    recent, counter = Recent[int](60), Counter()
    first = asyncio.create_task(recent.get("a", counter))
    second = asyncio.create_task(recent.get("a", counter))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is made counts as slow, and is due again at once."""
    monkeypatch.setattr(module, "QUICK_S", -1.0)


@pytest.mark.usefixtures("dear")
async def test_what_is_dear_is_given_as_it_was_while_the_next_is_made() -> None:
    recent, counter = Recent[int](0, share=0), Counter()
    assert await recent.get("a", counter) == 1
    assert [await recent.get("a", counter) for _ in range(3)] == [1, 1, 1], "nobody waits"
    assert counter.asked == 1, "and nothing has been made while nobody let it"
    for _ in range(3):
        await asyncio.sleep(0)
    assert (await recent.get("a", counter), counter.asked) == (2, 2), "made once for all three"


@pytest.mark.usefixtures("dear")
async def test_nobody_gets_anything_older_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_S", 0.0)
    recent, counter = Recent[int](0, share=0), Counter()
    assert [await recent.get("a", counter) for _ in range(3)] == [1, 2, 3]


@pytest.mark.usefixtures("dear")
async def test_an_error_in_the_background_is_told_to_nobody_and_tried_again() -> None:
    recent, counter = Recent[int](0, share=0), Counter()
    assert await recent.get("a", counter) == 1
    counter.is_away = True
    for _ in range(9):
        assert await recent.get("a", counter) == 1
        await asyncio.sleep(0)
    counter.is_away = False
    for _ in range(9):
        await asyncio.sleep(0)
        newest = await recent.get("a", counter)
    assert newest > 2


async def test_what_took_long_is_not_begun_again_for_a_multiple_of_that() -> None:
    recent, counter = Recent[int](0, share=1e9), Counter()
    assert [await recent.get("a", counter) for _ in range(3)] == [1, 1, 1]
