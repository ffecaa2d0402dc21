"""Crash points: the armed one ends the process at its pass, nothing else does."""

import subprocess
import sys

import pytest

from fitstream import crash
from fitstream.settings import SettingsError


def run(setting: str, *passed: str) -> tuple[int, str]:
    """Passes points in a process of its own; its exit code and what it said."""
    lines = [f"crash.crash_point({point!r}); print('passed', flush=True)" for point in passed]
    code = ["from fitstream import crash", f"crash.arm({setting!r})", *lines]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_the_armed_point_ends_the_process_at_its_pass() -> None:
    said = run("ledger_before_write:2", *["ledger_before_write", "archive_before_put"] * 3)
    assert said == (crash.EXIT_CODE, "passed\npassed\n")


def test_nothing_ends_an_unarmed_process() -> None:
    assert run("", *crash.POINTS) == (0, "passed\n" * len(crash.POINTS))


@pytest.mark.parametrize(
    "setting",
    [
        "x", "nowhere:1", "ledger_before_write", "ledger_before_write:", "ledger_before_write:0",
        "ledger_before_write:-1", "ledger_before_write:²", "ledger_before_write:1:2", ":1",
    ],
)  # fmt: skip
def test_a_point_that_cannot_be_armed_is_named(setting: str) -> None:
    with pytest.raises(SettingsError, match="FITSTREAM_CRASH_AT"):
        crash.arm(setting)
