"""Random calls over the whole OpenAPI document as each role: no 5xx, nothing undocumented."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from fitstream.client import Client
from fitstream.gateway import openapi
from fitstream.gateway.app import api_routes
from tests.conftest import RunningStack
from tests.fuzz.conformance import Found, counted, fuzz, operations
from tests.fuzz.roles import ROLES, Cast, make_cast

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]
DOCUMENT = openapi.document(api_routes())
TABLE = os.environ.get("FUZZ_TABLE")  # a file that gets a line of figures per role


@pytest.fixture
async def cast(admin: Client, stack: RunningStack) -> Cast:
    return await make_cast(admin, stack.admin_key)


async def test_a_few_calls_of_every_operation_are_answered_as_documented(
    stack: RunningStack, cast: Cast
) -> None:
    await _fuzz(stack, cast, ROLES, examples=1)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
async def test_many_calls_of_every_operation_are_answered_as_documented(
    stack: RunningStack, cast: Cast, role: str
) -> None:
    await _fuzz(stack, cast, [role], examples=15)


async def _fuzz(stack: RunningStack, cast: Cast, roles: Sequence[str], examples: int) -> None:
    found = await asyncio.to_thread(_all, stack.gateway, cast, roles, examples)
    assert not found.wrong, "\n\n".join(found.wrong[:20])


def _all(gateway: str, cast: Cast, roles: Sequence[str], examples: int) -> Found:
    found = Found([], Counter())
    with ExitStack() as opened:
        sessions = {role: counted(opened.enter_context(requests.Session())) for role in roles}
        for role, session in sessions.items():
            if cast.tokens[role]:
                session.headers["Authorization"] = f"Bearer {cast.tokens[role]}"
        for number, operation in enumerate(operations(DOCUMENT, gateway)):
            some = fuzz(operation, sessions, cast.named, examples, number)
            found.wrong.extend(some.wrong)
            found.answers.update(some.answers)
    if TABLE:
        with Path(TABLE).open("a") as file:
            file.writelines(f"{line}\n" for line in figures(found, roles))
    return found


def figures(found: Found, roles: Sequence[str]) -> list[str]:
    """A line per role: calls, answers by their first digit, findings."""
    lines = []
    for role in roles:
        mine = {status: n for (who, status), n in found.answers.items() if who == role}
        classes = [sum(n for s, n in mine.items() if s // 100 == digit) for digit in (2, 3, 4, 5)]
        wrong = sum(text.startswith(f"as {role}:") for text in found.wrong)
        lines.append(" | ".join(map(str, (role, sum(mine.values()), *classes, wrong))))
    return lines
