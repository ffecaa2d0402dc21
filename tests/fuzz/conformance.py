"""Random calls made from the OpenAPI document, and what every answer to them must satisfy."""

import copy
from collections import Counter
from typing import Any, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LAST = (
    "logout", "log_out_everywhere", "end_session", "end_sessions", "change_password",
    "change_email", "delete_device", "create_device_key", "rotate_own_key",
)  # fmt: skip
_TIMEOUT_S = 30
_BUDGET_S = 1


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with answers that may have no field beside the ones described."""
    found = copy.deepcopy(document)
    for name, schema in found["components"]["schemas"].items():
        if name != "Problem" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return found


def operations(document: dict[str, Any], base_url: str) -> list[APIOperation[Any, Any, Any, Any]]:
    """Every operation, those that end a credential last."""
    schema = schemathesis.openapi.from_dict(closed(document))
    schema.config.update(base_url=base_url)
    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda one: _name(one) in LAST)


def _name(operation: APIOperation[Any, Any, Any, Any]) -> str:
    name: str = operation.definition.raw["operationId"]
    return name


class Found(NamedTuple):
    """What was wrong with answers, and how many there were by role and status."""

    wrong: list[str]
    answers: Counter[tuple[str, int]]


def fuzz(
    operation: APIOperation[Any, Any, Any, Any],
    sessions: dict[str, requests.Session],
    named: dict[str, dict[str, str]],
    examples: int,
    seeded: int,
) -> Found:
    """Makes `examples` calls of the operation, right and wrong ones, each as every role of
    `sessions`."""
    strategy = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )
    found = Found([], Counter())

    @seed(seeded)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, is_named=st.booleans())
    def call(case: Case, is_named: bool) -> None:
        for role, session in sessions.items():
            _tame(case, named[role] if is_named else {})
            found.wrong.extend(f"as {role}: {text}" for text in _call(case, session))
            found.answers[role, case_status(session)] += 1

    call()
    return found


def counted(session: requests.Session) -> requests.Session:
    """The same session, which remembers the status of its last answer."""

    def note(response: requests.Response, *_: Any, **__: Any) -> None:
        session.last_status = response.status_code  # type: ignore[attr-defined]

    session.hooks["response"].append(note)
    return session


def case_status(session: requests.Session) -> int:
    """Status of the last answer, 0 when there was none."""
    return getattr(session, "last_status", 0)


def _tame(case: Case, named: dict[str, str]) -> None:
    """Names what exists, where asked to; no run of hours is started."""
    for name, value in named.items():
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = value
    if isinstance(case.body, dict) and "budget_s" in case.body:
        case.body["budget_s"] = _BUDGET_S
    if isinstance(case.body, dict):
        case.body.pop("deactivated", None)
        case.body.pop("disabled", None)


def _call(case: Case, session: requests.Session) -> list[str]:
    try:
        case.call_and_validate(
            session=session, timeout=_TIMEOUT_S, checks=CHECKS, allow_redirects=False
        )
    except (Failure, FailureGroup) as failure:
        return [f"{case.operation.label}: {_text(failure)}\n{case.as_curl_command()[:600]}"]
    return []


def _text(failure: Exception) -> str:
    inner = getattr(failure, "exceptions", [failure])
    return " | ".join(str(one)[:700] for one in inner)
