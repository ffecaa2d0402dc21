"""Whatever calls a person has a section in the runbook, and every invariant a test of its name."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from fitstream.operations.findings import CHECKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
RUNBOOK = PAGE.partition("\n## Runbook\n")[2].partition("\n## ")[0]
SECTIONS = set(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE))
ALARMS = (
    "fitstream_lag_records", "fitstream_freshness_seconds", "fitstream_dead_letters_total",
    "fitstream_in_flight_bytes", "fitstream_posts_total", "fitstream_weeks_rolled_total",
    "fitstream_jobs_done_total", "fitstream_leases_taken_over_total",
)  # fmt: skip
APART = {"dirty", "replaced", "orphan", "gap", "dead"}  # told apart, no differences


@cache
def calls() -> list[ast.Call]:
    return [
        node
        for path in sorted((ROOT / "fitstream").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def halts() -> set[str]:
    """The codes of all halts; one without a code is called halted."""
    found = set()
    for call in calls():
        if isinstance(call.func, ast.Name) and call.func.id == "Halted":
            code = call.args[1] if len(call.args) > 1 else ast.Constant("halted")
            assert isinstance(code, ast.Constant), ast.dump(call)
            found.add(str(code.value))
    return found


def errors() -> set[str]:
    """The names of all log lines of the level error."""
    found = set()
    for call in calls():
        of = call.func
        if (
            isinstance(of, ast.Attribute)
            and of.attr in ("error", "exception", "critical")
            and isinstance(of.value, ast.Name)
            and of.value.id == "log"
            and isinstance(call.args[0], ast.Constant)
        ):
            found.add(str(call.args[0].value))
    return found


def test_every_halt_has_a_section() -> None:
    assert {"topic_recreated", "program_error", "archive_differs"} <= halts()
    assert halts() - SECTIONS == set()


def test_every_error_in_a_log_has_a_section() -> None:
    assert {"records_lost", "roll_failed"} <= errors()
    assert errors() - SECTIONS == set()


@pytest.mark.parametrize("name", ALARMS)
def test_every_metric_that_is_worth_an_alarm_has_a_section(name: str) -> None:
    assert name in SECTIONS
    assert f"`{name}`" in (ROOT / "docs" / "operations.md").read_text()


def test_every_difference_that_verify_finds_is_in_the_runbook() -> None:
    for check in set(CHECKS) - APART:
        assert f"`{check}`" in RUNBOOK, check


def test_every_section_is_about_something_that_exists() -> None:
    assert SECTIONS - halts() - errors() - set(ALARMS) == set()


def test_every_invariant_has_a_test_of_its_name() -> None:
    named = re.findall(r"^\| (I\d+) \|", PAGE, re.MULTILINE)
    assert named == [*(f"I{number}" for number in range(1, 12)), "I15", "I16"]
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in named:
        assert re.search(rf"def test_\w*{name.lower()}_", tests), name
