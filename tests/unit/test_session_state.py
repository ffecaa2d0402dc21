"""Connections go back to the pool as they are, so nobody may leave anything in a session."""

import re
from pathlib import Path

import fitstream

CODE = Path(fitstream.__file__).parent
LEAVES_STATE = re.compile(
    r"\bSET\s+(?!LOCAL\b|TRANSACTION\b)(SESSION\s|[a-z_]+\s*(=|TO)\s*['\d])"
    r"|\bLISTEN\s|add_listener|\bDECLARE\s+\w+\s+CURSOR\b.*WITH HOLD"
    r"|pg_(try_)?advisory_lock|set_config\([^)]*false",
)


def test_no_statement_leaves_a_lock_or_a_setting_in_its_session() -> None:
    files = [*CODE.glob("repo/sql/*.sql"), *CODE.rglob("*.py")]
    lines = (
        (path, line)
        for path in files
        for line in path.read_text().splitlines()
        if LEAVES_STATE.search(line) and not line.startswith("UPDATE")
    )
    assert list(lines) == []


def test_the_search_knows_what_leaves_state() -> None:
    left = ["SET lock_timeout = '1s'", "SELECT pg_advisory_lock(1)", "LISTEN news"]
    assert all(LEAVES_STATE.search(line) for line in left)
    kept = ["SET LOCAL lock_timeout = '1s'", "SELECT pg_advisory_xact_lock(1)"]
    assert not any(LEAVES_STATE.search(line) for line in kept)
