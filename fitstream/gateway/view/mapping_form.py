"""The form of a schema mapping: what was posted as a mapping, and a mapping as a form. Pure.

Staff and customers use the same form; whoever shows it brings the upload and its first rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args
from zoneinfo import available_timezones

import msgspec

from fitstream.client.uploads import PreviewedRow, Upload
from fitstream.errors import Rejected
from fitstream.gateway.view.spoken import label, spoken
from fitstream.uploads.spec import Constant, MappingSpec, Name, Target, check_spec

TARGETS: tuple[str, ...] = get_args(Target)
CONSTANTS: tuple[str, ...] = get_args(Constant)
UNITS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Distance", ("m", "km", "mi", "ft", "yd")),
    ("Energy", ("kcal", "cal", "kJ", "J")),
    ("Duration", ("min", "s", "h", "ms")),
    ("Pulse", ("bpm", "Hz")),
)
"""Units by what they measure."""
FORMATS = {
    "iso": "2026-11-23T08:15+01:00",
    "%Y-%m-%d %H:%M": "2026-11-23 08:15",
    "%d.%m.%Y %H:%M": "23.11.2026 08:15",
    "%d/%m/%Y %H:%M": "23/11/2026 08:15",
    "%m/%d/%Y %I:%M:%S %p": "11/23/2026 08:15:00 AM",
    "unix_s": "1795418100",
    "unix_ms": "1795418100000",
}
"""Formats of times that are offered, each with an example."""
_SAMPLES = 3
_FREE_CONSTANTS = 2
_CONSTANTS_MAX = len(CONSTANTS)
_TIME = {"format": "iso", "zone": "", "stamp": "start"}
_HIDDEN = frozenset({"rev", "deleted"})


class ColumnRow(NamedTuple):
    """A column of the file, what it is said to be, and what it holds."""

    name: str
    kind: str
    samples: list[str]
    to: str
    unit: str
    is_wrong: bool


class Edited(NamedTuple):
    """A mapping as it stands in the form, and what is wrong with it."""

    spec: Mapping[str, Any]
    save_as: str = ""
    chosen: str = ""
    error: str = ""
    column: str = ""


class Editor(msgspec.Struct, frozen=True, kw_only=True):
    """The form as it is shown."""

    columns: list[ColumnRow]
    targets: dict[str, str]
    units: tuple[tuple[str, tuple[str, ...]], ...]
    time: dict[str, str]
    formats: dict[str, str]
    zones: list[str]
    decimal: str
    others: str
    customer_by: str
    constants: list[tuple[str, str]]
    constant_names: dict[str, str]
    save_as: str
    chosen: str
    notes: list[str]
    shown: list[tuple[str, str]]
    rows: list[PreviewedRow]
    error: str
    why: str
    """Why no row is shown, where the mapping cannot be read as it stands."""


def raw_of(posted: Mapping[str, str], upload: Upload) -> dict[str, Any]:
    """The form as a mapping that nobody has judged yet."""
    columns = [
        {
            "column": name,
            "to": posted.get(f"to-{at}", "ignore"),
            "unit": posted.get(f"unit-{at}", ""),
        }
        for at, name in enumerate(upload.columns)
        if name and upload.columns.index(name) == at
    ]
    return {
        "columns": columns,
        "time": {name: posted.get(name, "").strip() or value for name, value in _TIME.items()},
        "constants": _constants_of(posted),
        "decimal": posted.get("decimal", "."),
        "others": posted.get("others", "ignore"),
        "customer_by": posted.get("customer_by", "external_id"),
    }


def spec_of(raw: Mapping[str, Any], save_as: str = "") -> MappingSpec:
    """The mapping that a form holds. Raises Rejected(bad_mapping), which names the column."""
    try:
        if save_as:
            msgspec.convert(save_as, Name)
        return check_spec(msgspec.convert(raw, MappingSpec))
    except msgspec.ValidationError as error:
        text = f"the mapping cannot be read: {error}"
        if save_as and "pattern" in str(error):
            text = "the name of a mapping has letters, digits, spaces, dots and dashes"
        raise Rejected("bad_mapping", text, 422) from error


def begin_with(upload: Upload) -> Edited:
    """What the form holds at first: the mapping of the upload, or the one that is suggested."""
    suggested = upload.suggestion.spec if upload.suggestion else None
    name = upload.mapping.name if upload.mapping else ""
    chosen = f"{name}@{upload.mapping.version}" if upload.mapping else ""
    error = spoken(upload.problem.message) if upload.problem else ""
    column = upload.problem.column if upload.problem else ""
    return Edited(upload.spec or suggested or {}, name, chosen, error, column)


def refused(raw: Mapping[str, Any], save_as: str, error: Rejected) -> Edited:
    """The form as it was sent, with what is wrong with it."""
    column = str(error.extra.get("column", ""))
    return Edited(raw, save_as, "", spoken(error.message), column)


def editor(upload: Upload, edited: Edited, rows: Sequence[PreviewedRow], why: str = "") -> Editor:
    """The form for `edited`; `rows` are the first ones, as they stand where `why` says so."""
    spec = edited.spec
    read = [row for row in rows if row.sample is not None or row.code is not None]
    return Editor(
        columns=_columns(upload, edited, [row.cells for row in rows]),
        targets=target_names(),
        units=UNITS,
        time={**_TIME, **spec.get("time", {})},
        formats=FORMATS,
        zones=sorted(available_timezones()),
        decimal=spec.get("decimal", "."),
        others=spec.get("others", "ignore"),
        customer_by=spec.get("customer_by", "external_id"),
        constants=_with_room(spec.get("constants", {})),
        constant_names={name: target_names()[name] for name in CONSTANTS},
        save_as=edited.save_as,
        chosen=edited.chosen,
        notes=_notes(upload),
        shown=_shown_columns(read),
        rows=read,
        error=edited.error,
        why=edited.error or (spoken(why) if why else ""),
    )


def target_names() -> dict[str, str]:
    """Targets with their labels, leaving out first."""
    ordered = ("ignore", *(name for name in TARGETS if name != "ignore"))
    return {name: label(name) for name in ordered}


def _constants_of(posted: Mapping[str, str]) -> dict[str, Any]:
    """Constants that were filled in. Half a one stays, so that it can be said to be wrong."""
    found: dict[str, Any] = {}
    for at in range(_CONSTANTS_MAX + _FREE_CONSTANTS):
        name, value = (posted.get(f"constant-{part}-{at}", "").strip() for part in ("to", "value"))
        if name:
            found[name] = value if name == "customer" else _number(value)
    return found


def _number(text: str) -> Any:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text


def _with_room(constants: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Constants as the form shows them, with room for more."""
    found = [
        (name, f"{value:.12g}" if isinstance(value, float | int) else str(value))
        for name, value in constants.items()
    ]
    room = max(0, min(_FREE_CONSTANTS, _CONSTANTS_MAX - len(found)))
    return [*found, *[("", "")] * room]


def _columns(upload: Upload, edited: Edited, head: Sequence[Sequence[Any]]) -> list[ColumnRow]:
    by_column = {each["column"]: each for each in edited.spec.get("columns", [])}
    return [
        ColumnRow(
            name=name,
            kind=upload.kinds[at] if at < len(upload.kinds) else "",
            samples=_samples(head, at),
            to=by_column.get(name, {}).get("to", "ignore"),
            unit=by_column.get(name, {}).get("unit", ""),
            is_wrong=bool(edited.column) and name == edited.column,
        )
        for at, name in enumerate(upload.columns)
    ]


def _shown_columns(rows: Sequence[PreviewedRow]) -> list[tuple[str, str]]:
    """Fields that any of the rows has, with their labels."""
    found = dict.fromkeys(name for row in rows for name in row.sample or {})
    hidden = _HIDDEN - {name for row in rows for name, value in (row.sample or {}).items() if value}
    return [(name, label(name)) for name in found if name not in hidden]


def _samples(rows: Sequence[Sequence[Any]], at: int) -> list[str]:
    cells = [str(row[at]) for row in rows if at < len(row) and row[at] not in (None, "")]
    return [cell[:24] for cell in dict.fromkeys(cells)][:_SAMPLES]


def _notes(upload: Upload) -> list[str]:
    """What is unsure about the suggestion, until somebody has said better."""
    if upload.spec is not None or upload.suggestion is None:
        return []
    return [spoken(note) for note in upload.suggestion.notes]
