"""Random calls over the whole OpenAPI document as each role: no 5xx, nothing undocumented."""

import asyncio
from contextlib import ExitStack

import pytest
import requests

from fitstream.client import Client
from fitstream.gateway import openapi
from fitstream.gateway.app import api_routes
from tests.conftest import RunningStack
from tests.fuzz.conformance import fuzz, operations
from tests.fuzz.roles import ROLES, Cast, make_cast

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]
DOCUMENT = openapi.document(api_routes())


@pytest.fixture(scope="module")
async def cast(admin: Client, stack: RunningStack) -> Cast:
    return await make_cast(admin, stack.admin_key)


async def test_a_few_calls_of_every_operation_are_answered_as_documented(
    stack: RunningStack, cast: Cast
) -> None:
    await _fuzz(stack, cast, examples=1)


@pytest.mark.slow
async def test_many_calls_of_every_operation_are_answered_as_documented(
    stack: RunningStack, cast: Cast
) -> None:
    await _fuzz(stack, cast, examples=15)


async def _fuzz(stack: RunningStack, cast: Cast, examples: int) -> None:
    findings = await asyncio.to_thread(_all, stack.gateway, cast, examples)
    assert not findings, "\n\n".join(findings[:20])


def _all(gateway: str, cast: Cast, examples: int) -> list[str]:
    with ExitStack() as opened:
        sessions = {role: opened.enter_context(requests.Session()) for role in ROLES}
        for role, session in sessions.items():
            if cast.tokens[role]:
                session.headers["Authorization"] = f"Bearer {cast.tokens[role]}"
        return [
            finding
            for number, operation in enumerate(operations(DOCUMENT, gateway))
            for finding in fuzz(operation, sessions, cast.named, examples, number)
        ]
