"""How a process ends, whichever task of it has failed."""

import asyncio

import pytest

from fitstream.errors import Halted, Rejected, Unavailable
from fitstream.process import EXIT_FAILED, EXIT_HALTED, EXIT_UNAVAILABLE, run
from fitstream.settings import Settings
from tests.factories import SETTINGS


def ended(*errors: Exception) -> int:
    """The exit code when tasks of one group fail with these errors."""

    async def main(_: Settings, __: asyncio.Event) -> None:
        raise ExceptionGroup("tasks", list(errors))

    return run("test", main, dict(SETTINGS))


def test_an_error_of_one_task_among_several_ends_as_it_would_alone() -> None:
    assert ended(Unavailable("s3", "away")) == EXIT_UNAVAILABLE
    assert ended(Rejected("bad", "no")) == EXIT_FAILED
    assert ended(ExceptionGroup("inner", [Halted("look")])) == EXIT_HALTED


def test_a_halt_is_told_before_an_outage() -> None:
    assert ended(Unavailable("s3", "away"), Halted("look")) == EXIT_HALTED


def test_a_bug_beside_them_is_not_hidden() -> None:
    with pytest.raises(ExceptionGroup):
        ended(Halted("look"), KeyError("bug"))
