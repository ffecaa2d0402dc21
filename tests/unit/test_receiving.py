"""Files on their way in: a trickle ends, and nobody takes more than one room."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from fitstream.errors import Rejected, TooMany
from fitstream.gateway.receiving import LEAST_PER_S, Pace, UploadRoom, _spool
from fitstream.settings import load
from tests.factories import SETTINGS

QUICK = msgspec.structs.replace(load(SETTINGS), body_timeout_s=0.1)


async def test_a_trickle_ends_although_each_piece_comes_in_time(tmp_path: Path) -> None:
    async def trickle() -> bytes:
        await asyncio.sleep(0.02)
        return b"x"

    with (tmp_path / "file").open("wb") as file, pytest.raises(Rejected) as error:
        await asyncio.wait_for(_spool(trickle, file, QUICK), 10)
    assert (error.value.status, error.value.code) == (408, "slow_body")


async def test_a_file_that_comes_at_the_least_rate_has_all_the_time_it_needs() -> None:
    began = asyncio.get_running_loop().time()
    pace = Pace(30.0)
    hour = 3600 * LEAST_PER_S
    assert began + 90 <= pace.ends_at(0) < began + 100
    assert began + 3690 <= pace.ends_at(hour) < began + 3700
    assert pace.deadline(hour) < began + 40  # a single pause is no longer for that


def test_a_sender_has_one_room_and_all_have_so_many() -> None:
    room = UploadRoom(2)
    with room.of("ada"):
        with pytest.raises(TooMany), room.of("ada"):
            pass
        with room.of("grace"), pytest.raises(TooMany), room.of("mary"):
            pass
        with room.of("mary"):
            pass
    with room.of("ada"):
        pass
