"""One system for all tests of faults that need no proxies: each starts the processes it wants."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fitstream.settings import load
from fitstream.simulate.fleet import Fleet
from tests.faults.invariants import Observed, observed
from tests.faults.system import QUICK, System, open_system, running_up, temporary_folder


@pytest.fixture(scope="session")
async def system() -> AsyncIterator[System]:
    """Services that run, and processes that do not yet."""
    with temporary_folder() as folder, running_up(folder, QUICK, "--services-only") as run:
        async with open_system(folder, run) as system:
            yield system


@pytest.fixture(scope="session")
async def stores(system: System) -> AsyncIterator[Observed]:
    """What lies behind that system."""
    async with observed(load(system.run.settings)) as stores:
        yield stores


@pytest.fixture(scope="session")
def fleets() -> list[Fleet]:
    """Everybody who has posted to that system so far: all of it must always be right."""
    return []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The cells that were tried as a table: what was posted meanwhile, how soon all was at rest."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    cells = [cell for each in reports for name, cell in each.user_properties if name == "cell"]
    if cells:
        terminalreporter.section(f"{len(cells)} cells of the fault matrix")
        terminalreporter.write_line(
            "| victim | fault | acknowledged rows | wrong | at rest after s |"
        )
        terminalreporter.write_line("|---|---|---|---|---|")
    for cell in cells:
        terminalreporter.write_line(f"| {' | '.join(str(part) for part in cell)} |")
