"""The OpenAPI 3.1 document, made from the route tables, the policy and the types that validate.

Pure: the same code makes the same text. Must not describe what a route does not do; what stands
beside the types (examples, words) comes from the route's own table.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any

import msgspec

from fitstream.gateway import policy
from fitstream.gateway.parameters import QUERY, Parameter, in_path
from fitstream.gateway.problems import PROBLEM, Problem, codes_of
from fitstream.gateway.routes import JSON, UNSAFE, Route
from fitstream.gateway.view.reference import Reference, make_reference

VERSION = "1"
FORM = "application/x-www-form-urlencoded"
_PATH_PARAMETER = re.compile(r"\{(\w+)[^}]*\}")
_PRIVATE = re.compile(r"#/components/schemas/_")
_REF = "#/components/schemas/{name}"
_WORDS = "#/components/"

_SCOPES = {scope: scope.replace(":", ", ") for scope in policy.SCOPES}
SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key `fs_<id>_<secret>`, a session token, or an access token.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A key: user is its id, password its secret or the whole key.",
    },
    "digest": {
        "type": "http",
        "scheme": "digest",
        "description": "A device's or program's key, SHA-256 and `qop=auth` (RFC 7616).",
    },
    "oauth": {
        "type": "oauth2",
        "description": "An access token (RFC 9700); programs ask for scopes.",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": "/v1/oauth/authorize",
                "tokenUrl": "/v1/oauth/token",
                "refreshUrl": "/v1/oauth/token",
                "scopes": _SCOPES,
            },
            "clientCredentials": {"tokenUrl": "/v1/oauth/token", "scopes": _SCOPES},
        },
    },
}
TAGS = {
    "samples": "What devices send, and what the ledger holds of it.",
    "customers": "Who wears.",
    "devices": "What posts for a customer, its keys and settings.",
    "uploads": "Files: schema mapping, dry run, ingestion, undo.",
    "weeks": "Weeks, their versions and files.",
    "models": "Training runs, models and forecasts.",
    "operations": "Jobs, dead letters, and how the system does.",
    "people": "Log-in, sessions, and who is who.",
    "oauth": "OAuth 2.0: tokens for programs, and what customers let them do.",
    "access": "Staff, programs and their keys, and the audit log.",
    "system": "Time, health, and this document.",
}
_HEADERS = {
    "ETag": ("Names this state of the resource; for `If-None-Match` and `If-Match`.", "string"),
    "RetryAfter": ("Seconds after which the same call may succeed.", "integer"),
    "IdempotencyReplayed": ("`true` when this is the answer of the first call.", "string"),
}
_HEADER_PARAMETERS = {
    "IdempotencyKey": (
        "Idempotency-Key",
        "1 to 255 visible characters. The same key with the same call answers as the first time, "
        "for 24 hours, on every gateway.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    ),
    "IfMatch": (
        "If-Match",
        "Change only when this is still the resource's `ETag`; else 412.",
        {"type": "string"},
    ),
    "IfNoneMatch": (
        "If-None-Match",
        "Answer 304 without a body when this is still the `ETag`.",
        {"type": "string"},
    ),
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document for these routes, in their order."""
    types = list(_types(routes))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    readable = _readable_paths(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        described = _operation(route, schema_of, is_changed=route.changes in readable)
        paths.setdefault(_plain(route.path), {})[route.method.lower()] = described
    whole = {
        "openapi": "3.1.0",
        "info": _info(),
        "servers": [{"url": "/"}],
        "tags": _tags(routes),
        "paths": paths,
        "components": {
            "schemas": components,
            "parameters": _header_parameters(),
            "headers": _headers(),
            "responses": _problems(routes),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }
    return _without_private_names(whole)


def text_of(routes: Sequence[Route]) -> str:
    """The document as it is kept in docs/openapi.json."""
    return json.dumps(document(routes), indent=1, ensure_ascii=False) + "\n"


class Documented:
    """The document of some routes as programs and as people read it, each made at first use."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    @cached_property
    def text(self) -> str:
        """As JSON."""
        return text_of(self._routes)

    @cached_property
    def reference(self) -> Reference:
        """As a page shows it."""
        return make_reference(document(self._routes))


def callers_of(name: str) -> list[str]:
    """Who may call the route of that name, as its policy entry says."""
    rule = policy.POLICY.get(name)
    return sorted(rule.who) if rule else []


def _info() -> dict[str, Any]:
    return {
        "title": "fitstream",
        "version": VERSION,
        "summary": "Quarter-hour samples in; weeks, models and forecasts out.",
        "description": "Times are RFC 3339, ids opaque text, errors `application/problem+json` "
        "whose `code` is stable. Lists are pages: send `next` back as `after`. "
        "New fields may appear in answers; ignore what you do not know.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def _tags(routes: Sequence[Route]) -> list[dict[str, str]]:
    used = dict.fromkeys(route.tag for route in routes if route.tag)
    return [{"name": tag, "description": TAGS[tag]} for tag in used]


def _types(routes: Iterable[Route]) -> Iterable[Any]:
    seen: set[int] = set()
    for route in routes:
        others = (kind for _, kind in route.others)
        for kind in (route.takes, route.gives, *others, Problem):
            if kind is not None and id(kind) not in seen:
                seen.add(id(kind))
                yield kind


def _readable_paths(routes: Iterable[Route]) -> set[str]:
    return {route.path for route in routes if route.method == "GET"}


def _operation(route: Route, schema_of: Mapping[int, Any], *, is_changed: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "x-callers": callers_of(route.name),
        "security": _security(route),
    }
    if route.tag:
        found["tags"] = [route.tag]
    if described := _sentence(route.handler.__doc__):
        found["description"] = described
    if parameters := _parameters(route, is_changed=is_changed):
        found["parameters"] = parameters
    if takes_body(route):
        found["requestBody"] = _body(route, schema_of)
    found["responses"] = _responses(route, schema_of, is_changed=is_changed)
    return found


def takes_body(route: Route) -> bool:
    """Whether the route reads a body."""
    return route.takes is not None or route.reads != (JSON,)


def is_keyed(route: Route) -> bool:
    """Whether `Idempotency-Key` is honoured: unsafe calls of known callers."""
    return route.is_keyed and route.method in UNSAFE and not is_open(route)


def is_open(route: Route) -> bool:
    """Whether anyone may call it."""
    return "anyone" in callers_of(route.name)


def problems_of(route: Route, *, is_changed: bool = False) -> list[int]:
    """The statuses of problems that the route may answer with."""
    found = {401, 429, 503, *route.problems}  # a wrong credential is refused wherever it comes
    if route.writes:
        found.add(406)
    if route.method in UNSAFE:
        found.add(400)  # `If-Match` where nothing has a state
    if not is_open(route):
        found.add(403)
    if "{" in route.path:
        found |= {404, 422}
    if not route.is_tolerant:
        found.add(400)  # a query parameter that it does not have
    if route.query:
        found |= {400, 422}
    if takes_body(route):
        found |= {400, 408, 413, 415, 422}
    if is_keyed(route):
        found |= {400, 408, 409, 413, 415, 422}
    if is_changed:
        found.add(412)
    return sorted(found)


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Any one of the schemes; none for what is open to anyone."""
    if is_open(route):
        return []
    schemes: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}]
    if {"device", "program"} & set(callers_of(route.name)):
        schemes.append({"digest": []})
    rule = policy.POLICY.get(route.name)
    if rule and (scope := rule.scope):
        schemes.append({"oauth": [scope]})
    return schemes


def _parameters(route: Route, *, is_changed: bool) -> list[dict[str, Any]]:
    found = [_described(in_path(name), "path") for name in _PATH_PARAMETER.findall(route.path)]
    found += [_described(QUERY[name], "query") for name in route.query]
    if is_keyed(route):
        found.append({"$ref": f"{_WORDS}parameters/IdempotencyKey"})
    if is_changed:
        found.append({"$ref": f"{_WORDS}parameters/IfMatch"})
    if _has_etag(route):
        found.append({"$ref": f"{_WORDS}parameters/IfNoneMatch"})
    return found


def _described(parameter: Parameter, where: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": where,
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _body(route: Route, schema_of: Mapping[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media in route.reads:
        is_typed = media in (JSON, FORM) and route.takes is not None
        schema = schema_of[id(route.takes)] if is_typed else {"type": "string"}
        content[media] = {"schema": schema}
        if is_typed and route.example is not None:
            content[media]["example"] = route.example
    return {"required": True, "content": content}


def _responses(route: Route, schema_of: Mapping[int, Any], *, is_changed: bool) -> dict[str, Any]:
    found = {str(route.status): _response(route, route.status, route.gives, schema_of)}
    for status, kind in route.others:
        found[str(status)] = _response(route, status, kind, schema_of)
    if _has_etag(route):
        found["304"] = {"description": "As the caller has it already."}
    for status in problems_of(route, is_changed=is_changed):
        own = found.get(str(status), {}).get("content")
        if own is None:
            found[str(status)] = {"$ref": f"{_WORDS}responses/Problem{status}"}
        else:  # a standard gives the route errors of another shape, beside ours
            own[PROBLEM] = {"schema": {"$ref": _REF.format(name="Problem")}}
    return dict(sorted(found.items()))


def _response(route: Route, status: int, kind: Any, schema_of: Mapping[int, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    headers = {}
    if _has_etag(route) and status == HTTPStatus.OK:
        headers["ETag"] = {"$ref": f"{_WORDS}headers/ETag"}
    if is_keyed(route):
        headers["Idempotency-Replayed"] = {"$ref": f"{_WORDS}headers/IdempotencyReplayed"}
    if headers:
        found["headers"] = headers
    if kind is not None:
        found["content"] = {route.writes: {"schema": schema_of[id(kind)]}}
    elif route.writes and route.writes != JSON:
        found["content"] = {route.writes: {"schema": _raw(route.writes)}}
    return found


def _raw(media: str) -> dict[str, Any]:
    """Text as text; bytes need no schema in OpenAPI 3.1."""
    return {"type": "string"} if media.startswith("text/") else {}


def _has_etag(route: Route) -> bool:
    return route.method == "GET" and bool(route.writes) and route.status == HTTPStatus.OK


def _problems(routes: Sequence[Route]) -> dict[str, Any]:
    """One response per status, with the codes that it may carry."""
    readable = _readable_paths(routes)
    used = {
        status
        for route in routes
        for status in problems_of(route, is_changed=route.changes in readable)
    }
    return {f"Problem{status}": _problem(status) for status in sorted(used)}


def _problem(status: int) -> dict[str, Any]:
    codes = codes_of(status)
    lines = [f"- `{code}`: {meaning}" for code, meaning in codes.items()]
    found: dict[str, Any] = {
        "description": "\n".join([HTTPStatus(status).phrase, "", *lines]).strip(),
        "content": {PROBLEM: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    if codes:
        code, meaning = next(iter(codes.items()))
        found["content"][PROBLEM]["example"] = _example(status, code, meaning)
    if status in (409, 425, 429, 503):
        found["headers"] = {"Retry-After": {"$ref": f"{_WORDS}headers/RetryAfter"}}
    return found


def _example(status: int, code: str, meaning: str) -> dict[str, Any]:
    return {
        "type": f"urn:fitstream:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": meaning,
        "code": code,
        "request_id": "req_01hzy3v7k8m9n0p1q2r3s4t5",
    }


def _headers() -> dict[str, Any]:
    return {
        name: {"description": text, "schema": {"type": kind}}
        for name, (text, kind) in _HEADERS.items()
    }


def _header_parameters() -> dict[str, Any]:
    return {
        key: {"name": name, "in": "header", "required": False, "description": text} | {"schema": s}
        for key, (name, text, s) in _HEADER_PARAMETERS.items()
    }


def _plain(path: str) -> str:
    """`{name:regex}` as `{name}`."""
    return _PATH_PARAMETER.sub(r"{\1}", path)


def _sentence(doc: str | None) -> str:
    return " ".join((doc or "").split())


def _without_private_names(whole: dict[str, Any]) -> dict[str, Any]:
    """Type names as they read well: `_Post` is `Post`, `Items_Customer_` is `ItemsOfCustomer`."""
    text = json.dumps(whole)
    for name in sorted(whole["components"]["schemas"], key=len, reverse=True):
        if (shown := _readable(name)) != name:
            text = text.replace(f'schemas/{name}"', f'schemas/{shown}"')
            text = text.replace(f'"{name}": {{', f'"{shown}": {{')
            text = text.replace(f'"title": "{name}"', f'"title": "{shown}"')
    found: dict[str, Any] = json.loads(text)
    return found


def _readable(name: str) -> str:
    outer, _, inner = name.strip("_").partition("_")
    return f"{outer}Of{inner.replace('_', '')}" if inner else outer
