"""The OpenAPI document is complete: every route of the API says what it takes and answers."""

import json
from pathlib import Path

import pytest

from fitstream.gateway import openapi
from fitstream.gateway.app import api_routes
from fitstream.gateway.parameters import QUERY
from fitstream.gateway.problems import CODES, codes_of
from fitstream.gateway.routes import JSON, Route
from tests.unit.test_docs import INSIDE, codes

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"
ROUTES = api_routes()
# Verdicts on single rows, which a receipt lists; no call as a whole fails with them.
ROW_CODES = {
    "slot_misaligned", "future_slot", "too_old", "wrong_type", "heart_rate_order",
    "minutes_exceed_slot",
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_says_what_it_is_takes_and_answers(route: Route) -> None:
    assert route.summary, "needs `summary=`"
    assert route.tag in openapi.TAGS, "needs a `tag=` of openapi.TAGS"
    assert set(route.query) <= set(QUERY), "needs its query parameters in parameters.QUERY"
    is_silent = route.status == 204 or 300 <= route.status < 400
    assert route.gives is not None or is_silent or route.writes != JSON, "needs `gives=`"


def test_names_are_unique() -> None:
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names))


def test_the_kept_document_is_what_the_routes_say() -> None:
    assert KEPT.read_text() == openapi.text_of(ROUTES), "run `fitstream openapi`"


def test_every_reference_leads_somewhere() -> None:
    document = openapi.document(ROUTES)
    references = set(_references(document))
    assert references
    for reference in references:
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_types_are_named_for_readers() -> None:
    for name in openapi.document(ROUTES)["components"]["schemas"]:
        assert "_" not in name, name


def test_the_document_is_plain_json() -> None:
    assert json.loads(openapi.text_of(ROUTES)) == openapi.document(ROUTES)


def test_every_code_that_is_raised_has_its_meaning_in_the_document() -> None:
    missing = codes() - INSIDE - ROW_CODES - set(CODES)
    assert not missing, sorted(missing)


def test_every_problem_of_a_route_has_a_code() -> None:
    for route in ROUTES:
        for status in openapi.problems_of(route):
            assert codes_of(status), f"{route.name}: {status}"


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for inner in value.values() for found in _references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in _references(inner)]
    return []
