"""How the columns of a source's files become samples: the mapping that people keep, and its rules.

Pure. A mapping says for each column what it is and in which unit; versions of it are kept.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fitstream.clock import check_zone
from fitstream.errors import Rejected
from fitstream.merge import NAMES
from fitstream.samples import SampleRow
from fitstream.uploads.timestamps import HOME, TimeFormat, check_format

Target = Literal[
    "slot", "date", "time", "customer", "tz_offset_min", "rev", "deleted",
    "steps", "distance_m", "calories_kcal",
    "heart_rate_bpm", "heart_rate_min_bpm", "heart_rate_max_bpm",
    "light_min", "moderate_min", "vigorous_min", "sedentary_min", "sleep_min", "floors",
    "ignore",
]  # fmt: skip
Unit = Literal[
    "", "m", "km", "mi", "ft", "yd", "kcal", "cal", "kJ", "J", "min", "s", "h", "ms", "bpm", "Hz",
]  # fmt: skip
Constant = Literal[
    "customer", "tz_offset_min", "rev",
    "steps", "distance_m", "calories_kcal",
    "heart_rate_bpm", "heart_rate_min_bpm", "heart_rate_max_bpm",
    "light_min", "moderate_min", "vigorous_min", "sedentary_min", "sleep_min", "floors",
]  # fmt: skip
Cell = Annotated[str, Meta(max_length=256, pattern="^[^\x00]*$")]
ColumnName = Annotated[str, Meta(min_length=1, max_length=256, pattern="^[^\x00]*$")]
Name = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*(?!\n)$")
]

_MINUTES = {"": 1.0, "min": 1.0, "s": 1 / 60, "h": 60.0, "ms": 1 / 60_000}
_BEATS = {"": 1.0, "bpm": 1.0, "Hz": 60.0}
FACTORS: dict[str, dict[str, float]] = {
    "distance_m": {"": 1.0, "m": 1.0, "km": 1000.0, "mi": 1609.344, "ft": 0.3048, "yd": 0.9144},
    "calories_kcal": {
        "": 1.0, "kcal": 1.0, "cal": 0.001, "kJ": 1 / 4.184, "J": 1 / 4184,
    },
    **dict.fromkeys(("heart_rate_bpm", "heart_rate_min_bpm", "heart_rate_max_bpm"), _BEATS),
    **dict.fromkeys(
        ("light_min", "moderate_min", "vigorous_min", "sedentary_min", "sleep_min"), _MINUTES
    ),
}  # fmt: skip
"""What a number in a unit is multiplied by to be in the unit of the contract."""

ABSENT = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-")
_ANY_NUMBER = {"": 1.0}


class ColumnMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one column of the file is; without `unit` it is in the unit of its target."""

    column: ColumnName
    to: Target
    unit: Unit = ""


class MappingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything needed to read a source's rows.

    `constants` hold what no column says; `absent` are cells that mean *not measured*; `others`
    says what becomes of columns that `columns` does not name.
    """

    columns: Annotated[list[ColumnMap], Meta(min_length=1, max_length=500)]
    time: TimeFormat = TimeFormat()
    constants: dict[Constant, float | Cell] = {}
    customer_by: Literal["id", "external_id"] = "external_id"
    absent: Annotated[list[Cell], Meta(max_length=50)] = msgspec.field(
        default_factory=lambda: list(ABSENT)
    )
    decimal: Literal[".", ","] = "."
    others: Literal["ignore", "refuse"] = "ignore"

    def targets(self) -> dict[str, ColumnMap]:
        """Columns that are read, by what they become."""
        return {each.to: each for each in self.columns if each.to != "ignore"}


def check_spec(spec: MappingSpec) -> MappingSpec:
    """`spec`, if a file could be read by it. Raises Rejected(bad_mapping) naming the column."""
    seen: dict[str, str] = {}
    names: set[str] = set()
    for each in spec.columns:
        if each.column in names:
            raise bad_mapping(each.column, "it is mapped twice")
        names.add(each.column)
        if each.to in seen:
            raise bad_mapping(each.column, f"{each.to} comes from column {seen[each.to]!r} already")
        if each.to != "ignore":
            seen[each.to] = each.column
        _check_unit(each)
    _check_time(spec, seen)
    _check_constants(spec, seen)
    if not any(name in seen or name in spec.constants for name in (*NAMES, "deleted")):
        raise bad_mapping("", "no column is a metric; map at least one, like steps")
    return spec


def bad_mapping(column: str, why: str) -> Rejected:
    """The error for a column that cannot be read as asked; `column` is "" for the whole mapping."""
    text = f"column {column[:60]!r}: {why}" if column else f"the mapping: {why}"
    return Rejected("bad_mapping", text, 422, {"column": column[:256]})


def identity(header: list[str]) -> MappingSpec | None:
    """The mapping of a file whose columns are named as in the API, None for any other file."""
    known = {*SampleRow.__struct_fields__, "customer", "customer_id", "external_id"}
    who = [name for name in header if name in ("customer", "customer_id", "external_id")]
    if "slot" not in header or not known.issuperset(header) or len(who) > 1:
        return None
    if len(set(header)) < len(header) or not set(header) & {*NAMES, "deleted"}:
        return None
    columns = [
        ColumnMap(name, "customer" if name in who else name)  # type: ignore[arg-type]
        for name in header
    ]
    by: Literal["id", "external_id"] = "id" if who == ["customer_id"] else "external_id"
    return MappingSpec(columns=columns, customer_by=by, others="refuse")


def _check_unit(each: ColumnMap) -> None:
    units = FACTORS.get(each.to, _ANY_NUMBER)
    if each.unit not in units:
        known = ", ".join(unit for unit in units if unit) or "none"
        raise bad_mapping(each.column, f"{each.to} has no unit {each.unit}; it may be {known}")


def _check_time(spec: MappingSpec, seen: dict[str, str]) -> None:
    if "slot" not in seen and not {"date", "time"} <= seen.keys():
        raise bad_mapping("", "no column is the time; map one to slot, or two to date and time")
    if "slot" in seen and seen.keys() & {"date", "time"}:
        text = "the time comes from slot already; map either slot, or date and time"
        raise bad_mapping(seen.get("date", seen.get("time", "")), text)
    column = seen.get("slot", seen.get("date", ""))
    try:
        check_format(spec.time.format)
        if spec.time.zone not in ("", HOME):
            check_zone(spec.time.zone)
    except Rejected as error:
        raise bad_mapping(column, error.message) from error


def _check_constants(spec: MappingSpec, seen: dict[str, str]) -> None:
    for name in spec.constants:
        if name in seen:
            raise bad_mapping(seen[name], f"{name} is a constant already")
    values: dict[str, Any] = {str(name): value for name, value in spec.constants.items()}
    customer = values.pop("customer", "x")
    if not isinstance(customer, str) or not customer:
        raise bad_mapping("", "the constant customer must be an id")
    try:
        msgspec.convert({"slot": "", **values}, SampleRow, strict=False)
    except msgspec.ValidationError as error:
        raise bad_mapping("", f"a constant is wrong: {error}") from error
