"""The Python client covers the API: every operation of the document has a method that calls it."""

import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_origin

import pytest

from fitstream.client import Client
from fitstream.client.http import Answer, Call, open_api
from fitstream.client.uploads import Uploads
from fitstream.gateway.app import api_routes
from fitstream.gateway.openapi import is_keyed
from fitstream.gateway.routes import Route

# What nobody calls from Python: a page, Prometheus' text, and the forms of the predecessor's app.
NOT_COVERED = {"docs", "metrics"}
LEGACY = "/auth/"


class Recorded(Exception):
    """The call went out; what would come back does not matter here."""


class RecordingApi:
    """Stands for `Api`: keeps the calls and answers none."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Answer:
        self.calls.append(call)
        raise Recorded

    def as_who(self, *_: Any) -> "RecordingApi":
        return self


def covered(routes: Sequence[Route]) -> list[Route]:
    return [
        route
        for route in routes
        if route.name not in NOT_COVERED and not route.path.startswith(LEGACY)
    ]


async def recorded() -> list[Call]:
    """The first call of every public method of the client, with arguments made from its types."""
    api = RecordingApi()
    parts = (Client(api), Uploads(api), Uploads(api, "x"))  # type: ignore[arg-type]
    methods = [found for part in parts for found in inspect.getmembers(part, _is_call)]
    for name, method in methods:
        if not name.startswith("_"):
            for flag in (False, True):
                with pytest.raises(Recorded):
                    await method(**arguments(method, flag=flag))
    return api.calls


def _is_call(value: object) -> bool:
    return inspect.iscoroutinefunction(value)


def arguments(method: Any, *, flag: bool) -> dict[str, Any]:
    """A value for every parameter; booleans and choices are taken both ways."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(method, eval_str=True).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.default is parameter.empty or isinstance(parameter.default, bool):
            found[name] = value_of(parameter.annotation, flag=flag)
    return found


def value_of(kind: Any, *, flag: bool) -> Any:
    """Something of a type that a method takes."""
    plain: dict[Any, Any] = {
        str: "x", int: 1, float: 1.0, bytes: b"x", bool: flag,
        Path: Path("x"), date: date(2026, 11, 23), datetime: datetime(2026, 11, 23, tzinfo=UTC),
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if choices := getattr(kind, "__args__", None):
        if all(isinstance(choice, str) for choice in choices):
            return choices[-1 if flag else 0]
        if get_origin(kind) in (list, tuple, Sequence):
            return ["x"]
        if get_origin(kind) in (dict, Mapping):
            return {}
        return value_of(choices[0], flag=flag)
    return SimpleNamespace(id="x", __struct_fields__=())


def pattern_of(route: Route) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{[^}]+\}", "[^/]+", route.path))


async def test_every_operation_has_a_method_of_the_client() -> None:
    calls = {(call.method, call.path) for call in await recorded()}
    missing = [
        f"{route.method} {route.path} ({route.name})"
        for route in covered(api_routes())
        if not any(
            method == route.method and pattern_of(route).fullmatch(path) for method, path in calls
        )
    ]
    assert not missing, "\n".join(missing)


async def test_every_call_of_the_client_is_an_operation() -> None:
    for call in await recorded():
        assert any(
            route.method == call.method and pattern_of(route).fullmatch(call.path)
            for route in api_routes()
        ), f"{call.method} {call.path}"


async def test_a_change_carries_a_key_only_where_the_api_keeps_its_answer() -> None:
    async with open_api("http://127.0.0.1", "a token") as api:
        keyed = [call for call in await recorded() if "Idempotency-Key" in api.keyed(call).headers]
    assert keyed
    for call in keyed:
        found = [
            route
            for route in api_routes()
            if route.method == call.method and pattern_of(route).fullmatch(call.path)
        ]
        assert any(is_keyed(route) for route in found), f"{call.method} {call.path}"
