"""What holds for every route of the API, whoever adds one: pages, conditions, keys of calls."""

import ast
from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest

from fitstream import gateway
from fitstream.client.data import Items
from fitstream.client.operations import JOB_KINDS
from fitstream.errors import Rejected
from fitstream.gateway.app import api_routes
from fitstream.gateway.openapi import is_keyed, is_open
from fitstream.gateway.parameters import QUERY, check
from fitstream.gateway.routes import UNSAFE, Route
from fitstream.repo.audit import ACTIONS
from fitstream.tasks import child, here

ROUTES = api_routes()
READABLE = {route.path for route in ROUTES if route.method == "GET"}

# Changes of what cannot be read, so that there is no state to compare `If-Match` with.
WITHOUT_STATE = {
    "change_password": "a password is never shown",
    "take_second_factor": "somebody else's second factor is not shown",
}

# Changes whose answers are not kept.
_OWN = "about the caller's own standing: a kept answer would hold a secret, or outlive it"
NOT_KEPT = {
    "post_samples": "the merge rule makes a repeat harmless, and the hot path asks no database",
    "put_picture": "the same picture again changes nothing",
    "oauth_token": "a code works once, a refresh token once: RFC 6749 and 9700 say how",
    "oauth_revoke": "a repeat changes nothing",
    "oauth_introspect": "it changes nothing",
    "oauth_device": "codes that nobody types expire",
    "pair_offer": "codes that nobody types expire",
    "pair_look": "it changes nothing",
    "pair_decide": "a code works once",
    "logout": _OWN,
    "log_out_everywhere": _OWN,
    "change_password": _OWN,
    "change_email": _OWN,
    "begin_second_factor": _OWN,
    "confirm_second_factor": _OWN,
    "remove_second_factor": _OWN,
    "renew_recovery_codes": _OWN,
}


def _is_list(kind: object) -> bool:
    if get_origin(kind) is Items:
        return True
    return isinstance(kind, type) and {"items", "next"} <= set(
        getattr(kind, "__struct_fields__", ())
    )


LISTS = [route for route in ROUTES if route.method == "GET" and _is_list(route.gives)]


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.name)
def test_every_list_is_read_by_pages(route: Route) -> None:
    names = set(route.query)
    assert "after" in names
    assert names & {"limit", "days_limit"}


def test_what_holds_many_items_is_a_list() -> None:
    assert len(LISTS) > 15
    assert all(get_args(route.gives) or issubclass(route.gives, msgspec.Struct) for route in LISTS)


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.method in UNSAFE and route.changes is not None],
    ids=lambda route: route.name,
)
def test_every_change_of_what_can_be_read_heeds_if_match(route: Route) -> None:
    assert (route.changes in READABLE) != (route.name in WITHOUT_STATE)


def test_what_an_action_changes_can_be_read() -> None:
    assert all(route.state_of in READABLE for route in ROUTES if route.state_of)


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.method in UNSAFE and not is_keyed(route)],
    ids=lambda route: route.name,
)
def test_every_change_by_a_known_caller_heeds_idempotency_key(route: Route) -> None:
    assert is_open(route) or route.name in NOT_KEPT, "answers of this route are not kept: why?"


def test_reasons_are_for_routes_that_are_there() -> None:
    names = {route.name for route in ROUTES if route.method in UNSAFE and not is_keyed(route)}
    assert set(NOT_KEPT) <= names
    assert set(WITHOUT_STATE) <= {route.name for route in ROUTES}


def test_every_kind_of_job_can_be_filtered_by() -> None:
    assert {*child.TASKS, *here.TASKS} <= set(JOB_KINDS)


def test_every_action_of_the_audit_log_can_be_filtered_by() -> None:
    """Literals like `staff.created` in the sources, of the things that the log is about."""
    about = {action.partition(".")[0] for action in ACTIONS} - {"model", "customers"}
    found = set()
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                head, _, tail = node.value.partition(".")
                if head in about and tail.isidentifier():
                    found.add(node.value)
    assert found
    assert found <= set(ACTIONS)


@pytest.mark.parametrize(
    "name", sorted(name for name, one in QUERY.items() if "enum" in one.schema)
)
def test_a_choice_takes_what_it_lists_and_nothing_else(name: str) -> None:
    parameter = QUERY[name]
    for value in ("", *parameter.schema["enum"]):
        check({parameter.name: value}, [name])
    with pytest.raises(Rejected) as caught:
        check({parameter.name: "another"}, [name])
    assert caught.value.status == 400
    assert all(value in caught.value.message for value in parameter.schema["enum"])
