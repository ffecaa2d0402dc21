"""How a roller is fed: the next weeks come while others are rolled, none is left half done."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from fitstream.consumers.roller import Roller
from fitstream.errors import Halted, Unavailable
from fitstream.repo.weeks import Claim
from fitstream.settings import Settings

_NOTHING: Any = None


def claims(*numbers: int) -> list[Claim]:
    return [Claim(number, f"cus_{number}", "2026-W47", 1, False) for number in numbers]


class Fed(Roller):
    """Claims what it is given, turn by turn, and notes what it rolls; `slow` ones wait."""

    def __init__(self, turns: Sequence[list[Claim] | Unavailable], slow: int = 0) -> None:
        super().__init__(
            _NOTHING, _NOTHING, Settings(secret_key="s", kafka="", postgres="", redis="")
        )
        self._turns = list(turns)
        self._slow = slow
        self._left = sum(len(turn) for turn in turns if isinstance(turn, list)) - 1
        self.go_on = asyncio.Event()
        self.all_others = asyncio.Event()
        self.rolled: list[int] = []

    async def _claim(self) -> list[Claim]:
        turn = self._turns.pop(0) if self._turns else []
        if isinstance(turn, Unavailable):
            raise turn
        return turn

    async def _roll_or_release(self, claim: Claim) -> None:
        if claim.customer_no == self._slow:
            await self.go_on.wait()
        await asyncio.sleep(0)
        self.rolled.append(claim.customer_no)
        if len(self.rolled) == self._left:
            self.all_others.set()


async def test_all_that_is_due_is_rolled_however_many_claims_it_takes() -> None:
    roller = Fed([claims(*range(1, 17)), claims(*range(17, 30))])
    assert await roller.roll_due()
    assert sorted(roller.rolled) == list(range(1, 30))
    assert not await roller.roll_due()


async def test_a_slow_week_holds_up_nobody() -> None:
    roller = Fed([claims(*range(1, 17)), claims(*range(17, 33))], slow=3)
    rolling = asyncio.create_task(roller.roll_due())
    await asyncio.wait_for(roller.all_others.wait(), 5)
    assert 3 not in roller.rolled
    roller.go_on.set()
    assert await rolling
    assert roller.rolled[-1] == 3


async def test_an_outage_while_claiming_ends_nothing_that_was_claimed() -> None:
    roller = Fed([claims(1, 2, 3), Unavailable("postgres", "cut")])
    with pytest.raises(Unavailable):
        await roller.roll_due()
    assert sorted(roller.rolled) == [1, 2, 3]


async def test_a_roller_that_is_to_stop_claims_nothing_more() -> None:
    stop = asyncio.Event()

    class Stopped(Fed):
        async def _roll_or_release(self, claim: Claim) -> None:
            stop.set()
            await super()._roll_or_release(claim)

    roller = Stopped([claims(*range(1, 17)), claims(17)])
    assert await roller.roll_due(stop)
    assert sorted(roller.rolled) == list(range(1, 17))


async def test_an_error_that_no_roller_survives_ends_the_turn() -> None:
    class Halting(Fed):
        async def _roll_or_release(self, claim: Claim) -> None:
            await super()._roll_or_release(claim)
            raise Halted("the database does not fit", "schema_differs")

    roller = Halting([claims(*range(1, 17)), claims(*range(17, 33))])
    with pytest.raises(Halted):
        await asyncio.wait_for(roller.roll_due(), 5)


async def test_more_is_claimed_while_the_last_are_rolled() -> None:
    claimed = asyncio.Event()

    class Slow(Fed):
        async def _claim(self) -> list[Claim]:
            if len(self._turns) == 1:
                await claimed.wait()  # Postgres takes its time
            return await super()._claim()

        async def _roll_or_release(self, claim: Claim) -> None:
            await super()._roll_or_release(claim)
            if len(self.rolled) == 16:
                claimed.set()

    roller = Slow([claims(*range(1, 17)), claims(17, 18)])
    assert await asyncio.wait_for(roller.roll_due(), 5)
    assert sorted(roller.rolled) == list(range(1, 19))
