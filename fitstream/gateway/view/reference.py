"""The OpenAPI document as a page shows it: operations by tag, types as tables of fields."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Json = Mapping[str, Any]
_REF = "#/components/schemas/"


class TypeName(msgspec.Struct, frozen=True):
    """A type in words; `name` is set where the page has a table of it."""

    text: str
    name: str = ""


class FieldRow(msgspec.Struct, frozen=True):
    """A field of a type, or a parameter of an operation."""

    name: str
    type: TypeName
    is_required: bool
    about: str


class AnswerRow(msgspec.Struct, frozen=True):
    """What may come back."""

    status: str
    about: str
    type: TypeName | None
    codes: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    callers: str
    parameters: list[FieldRow]
    body: list[FieldRow]
    example: str
    answers: list[AnswerRow]


class Group(msgspec.Struct, frozen=True):
    """The operations of one tag."""

    name: str
    about: str
    operations: list[Operation]


class TypeTable(msgspec.Struct, frozen=True):
    """A type of the document."""

    name: str
    about: str
    fields: list[FieldRow]


class Reference(msgspec.Struct, frozen=True):
    """The whole page."""

    title: str
    about: str
    groups: list[Group]
    types: list[TypeTable]


def make_reference(document: Json) -> Reference:
    """The page of a document, in its order."""
    info = document["info"]
    groups = [_group(document, tag) for tag in document["tags"]]
    types = [_table(name, schema) for name, schema in sorted(_schemas(document).items())]
    return Reference(info["title"], info["description"], groups, types)


def _group(document: Json, tag: Json) -> Group:
    found = [
        _operation(document, method, path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if tag["name"] in described.get("tags", ())
    ]
    return Group(tag["name"], tag["description"], found)


def _operation(document: Json, method: str, path: str, described: Json) -> Operation:
    parameters = [_resolved(document, one) for one in described.get("parameters", ())]
    content = described.get("requestBody", {}).get("content", {})
    return Operation(
        id=described["operationId"],
        method=method.upper(),
        path=path,
        summary=described["summary"],
        about=described.get("description", ""),
        callers=", ".join(described["x-callers"]),
        parameters=[_parameter(one) for one in parameters],
        body=[
            FieldRow(media, type_of(entry["schema"]), is_required=True, about="")
            for media, entry in content.items()
        ],
        example=_example(content),
        answers=[
            _answer(status, _resolved(document, one))
            for status, one in described["responses"].items()
        ],
    )


def _example(content: Json) -> str:
    found = next((entry["example"] for entry in content.values() if "example" in entry), None)
    if found is None:
        return ""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _parameter(described: Json) -> FieldRow:
    where = "" if described["in"] == "query" else f" ({described['in']})"
    kind = type_of(described["schema"])
    return FieldRow(
        described["name"] + where, kind, described["required"], described["description"]
    )


def _answer(status: str, described: Json) -> AnswerRow:
    about, *lines = described["description"].split("\n")
    codes = tuple(line.split("`")[1] for line in lines if line.startswith("- `"))
    entry: Json = next(iter(described.get("content", {}).values()), {})
    schema = entry.get("schema")
    return AnswerRow(status, about, type_of(schema) if schema else None, codes)


def _table(name: str, schema: Json) -> TypeTable:
    required = schema.get("required", ())
    fields = [
        FieldRow(field, type_of(described), field in required, limits_of(described))
        for field, described in schema.get("properties", {}).items()
    ]
    return TypeTable(name, " ".join(schema.get("description", "").split()), fields)


def type_of(schema: Json) -> TypeName:
    """A schema in a word or two: `text`, `list of Customer`, `integer or null`."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return TypeName(name, name)
    if "anyOf" in schema:
        parts = [type_of(one) for one in schema["anyOf"]]
        return TypeName(" or ".join(part.text for part in parts), _first_name(parts))
    if "enum" in schema:
        return TypeName(" | ".join(str(value) for value in schema["enum"]))
    if schema.get("type") == "array":
        inner = type_of(schema.get("items") or schema.get("prefixItems", [{}])[0])
        return TypeName(f"list of {inner.text}", inner.name)
    return TypeName(_simple(schema))


def limits_of(schema: Json) -> str:
    """Ranges and lengths of a field, in words."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return limits_of(one)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        return f"{'' if low is None else low} to {'' if high is None else high}".strip()
    if "maxLength" in schema:
        return f"{schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return ""


def _first_name(parts: Sequence[TypeName]) -> str:
    return next((part.name for part in parts if part.name), "")


def _simple(schema: Json) -> str:
    known = {"date-time": "time", "date": "day", "byte": "base64"}
    if schema.get("format") in known:
        return known[schema["format"]]
    kind = str(schema.get("type", "anything"))
    return {"string": "text", "boolean": "true or false", "null": "null"}.get(kind, kind)


def _resolved(document: Json, value: Json) -> Json:
    found: Json = value
    while "$ref" in found:
        found = _at(document, found["$ref"])
    return found


def _at(document: Json, reference: str) -> Json:
    found: Json = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _schemas(document: Json) -> dict[str, Json]:
    found: dict[str, Json] = document["components"]["schemas"]
    return found
