"""A mapping guessed from the names of the columns and the first rows, and what is unsure about it.

Pure. A guess is only ever shown; what is ingested was named by the file or confirmed by a person.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec

from fitstream.errors import Rejected
from fitstream.merge import NAMES
from fitstream.uploads.spec import FACTORS, ColumnMap, MappingSpec, Target, check_spec, identity
from fitstream.uploads.timestamps import HOME, RowRefused, TimeFormat, reader

_PATTERNS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
    "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%Y%m%d%H%M",
)  # fmt: skip
_WORDS: dict[str, tuple[str, ...]] = {
    "slot": ("slot", "timestamp", "datetime", "date_time", "start", "start_time", "starttime",
             "begin", "interval_start", "recorded_at", "local_time", "activity_time", "ts",
             "when"),
    "date": ("date", "day", "activity_date"),
    "time": ("time", "clock", "hour", "time_of_day"),
    "customer": ("customer", "customer_id", "external_id", "user", "user_id", "userid",
                 "participant", "participant_id", "subject", "subject_id", "wearer", "person",
                 "id"),
    "tz_offset_min": ("tz_offset_min", "utc_offset_min", "offset_min"),
    "rev": ("rev", "revision"),
    "deleted": ("deleted",),
    "steps": ("steps", "step", "step_count", "stepcount", "step_total", "steptotal", "total_steps",
              "cnt"),
    "distance_m": ("distance", "dist", "total_distance", "totaldistance", "distance_walked",
                   "walked_distance"),
    "calories_kcal": ("calories", "calorie", "energy", "active_energy", "energy_burned",
                      "calories_out", "caloriesout", "calories_burned"),
    "heart_rate_min_bpm": ("heart_rate_min", "hr_min", "min_hr", "min_heart_rate",
                           "lowest_heart_rate"),
    "heart_rate_max_bpm": ("heart_rate_max", "hr_max", "max_hr", "max_heart_rate",
                           "highest_heart_rate"),
    "heart_rate_bpm": ("heart_rate", "heartrate", "hr", "hr_avg", "avg_hr", "heart_rate_mean",
                       "heart_rate_avg", "mean_heart_rate", "pulse"),
    "light_min": ("light", "light_activity", "light_active", "lightly_active",
                  "lightly_active_minutes", "lightlyactiveminutes"),
    "moderate_min": ("moderate", "moderate_activity", "fairly_active", "fairly_active_minutes",
                     "fairlyactiveminutes"),
    "vigorous_min": ("vigorous", "vigorous_activity", "very_active", "very_active_minutes",
                     "veryactiveminutes"),
    "sedentary_min": ("sedentary", "sedentary_minutes", "sedentaryminutes"),
    "sleep_min": ("sleep", "asleep", "sleep_minutes", "minutes_asleep", "sleep_duration"),
    "floors": ("floors", "floors_climbed", "flights", "flights_climbed"),
}  # fmt: skip
_UNITS = {
    "m": "m", "meter": "m", "meters": "m", "metre": "m", "metres": "m", "km": "km",
    "kilometer": "km", "kilometers": "km", "kilometres": "km", "mi": "mi", "mile": "mi",
    "miles": "mi", "ft": "ft", "feet": "ft", "yd": "yd", "yards": "yd",
    "kcal": "kcal", "cal": "cal", "kj": "kJ", "kilojoules": "kJ", "j": "J",
    "min": "min", "mins": "min", "minutes": "min", "s": "s", "sec": "s", "secs": "s",
    "seconds": "s", "h": "h", "hours": "h", "ms": "ms", "milliseconds": "ms",
    "bpm": "bpm", "hz": "Hz",
}  # fmt: skip
_KNOWN = {word: target for target, found in _WORDS.items() for word in found}
_WHOLE = frozenset(NAMES) | {"tz_offset_min"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_UNSURE_UNITS = frozenset({"distance_m"})
_TELLING_UNITS: dict[str, str] = {
    **dict.fromkeys(("km", "mi", "ft", "yd"), "distance_m"),
    **dict.fromkeys(("kcal", "kJ"), "calories_kcal"),
    "bpm": "heart_rate_bpm",
}
"""Units that only one metric has, so that they say what a column of an unknown name is."""
_MS_FROM = 10**11


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping to begin with; `is_sure` when the file itself names everything, else `notes`.

    What is not sure may lack what its notes name; None when nothing was recognised at all.
    """

    spec: MappingSpec | None
    is_sure: bool
    notes: list[str]


class _Guess(NamedTuple):
    to: str
    unit: str
    note: str


def suggest(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Suggestion:
    """The mapping for columns named so, `rows` being the first ones."""
    exact = identity(list(header))
    if exact is not None:
        return Suggestion(spec=exact, is_sure=True, notes=[])
    notes: list[str] = []
    taken: set[str] = set()
    columns = []
    for name in dict.fromkeys(header):
        guess = _guess(name)
        if guess.to in taken:
            guess = _Guess("ignore", "", f"column {name!r} looks like {guess.to}, as another does")
        if guess.to != "ignore":
            taken.add(guess.to)
        notes += [guess.note] if guess.note else []
        columns.append(ColumnMap(name, cast(Target, guess.to), guess.unit))  # type: ignore[arg-type]
    columns, found = _with_time(_without_halves(columns), header, rows)
    notes = [note for note in notes if repr(found) not in note] + (
        [f"column {found!r} is taken for the time, because it holds times"] if found else []
    )
    time, said = _time_of(columns, header, rows)
    spec = MappingSpec(columns=columns, time=time, decimal=_decimal(rows))
    try:
        check_spec(spec)
    except Rejected as error:
        is_known = any(each.to != "ignore" for each in columns)
        notes.append(error.message)
        return Suggestion(spec=spec if is_known else None, is_sure=False, notes=notes)
    return Suggestion(spec=spec, is_sure=False, notes=[*notes, *said])


def _guess(name: str) -> _Guess:
    """What a column's name says, read as it is (`kJ`), then by its humps (`stepCount`)."""
    words = [_NO_WORD.sub("_", text.lower()).strip("_") for text in (name, _CAMEL.sub("_", name))]
    guesses = [_guess_word(name, word) for word in words]
    return next((guess for guess in guesses if guess.to != "ignore"), guesses[0])


def _guess_word(name: str, word: str) -> _Guess:
    for text in (word, word.replace("_", "")):
        if text in _WHOLE:
            return _Guess(text, "", "")
        if text in _KNOWN:
            return _with_unit(name, _KNOWN[text], "")
    stem, _, last = word.rpartition("_")
    unit = _UNITS.get(last, "")
    if unit and stem in _KNOWN:
        return _with_unit(name, _KNOWN[stem], unit)
    if unit == "min" and f"{stem}_min" in _KNOWN:  # `hr_min` is a rate, `light_min` are minutes
        return _with_unit(name, _KNOWN[f"{stem}_min"], "")
    if unit in _TELLING_UNITS:
        to = _TELLING_UNITS[unit]
        return _Guess(to, unit, f"column {name!r} is taken for {to}, because of its unit")
    return _Guess("ignore", "", f"column {name!r} is left out: nobody knows what it is")


def _with_unit(name: str, to: str, unit: str) -> _Guess:
    units = FACTORS.get(to, {})
    if unit and unit not in units:
        return _Guess("ignore", "", f"column {name!r} looks like {to}, but {unit} is no unit of it")
    note = ""
    if not unit and to in _UNSURE_UNITS:
        note = f"column {name!r} does not say its unit; it is taken for metres"
    return _Guess(to, unit, note)


def _without_halves(columns: list[ColumnMap]) -> list[ColumnMap]:
    """A date beside a whole time says nothing new; a lone date or time is taken for the whole."""
    found = {each.to for each in columns}
    swap: dict[str, Target] = {}
    if "slot" in found:
        swap = {"date": "ignore", "time": "ignore"}
    elif not {"date", "time"} <= found:
        swap = {"date": "slot", "time": "slot"}
    return [ColumnMap(each.column, swap.get(each.to, each.to), each.unit) for each in columns]


def _with_time(
    columns: list[ColumnMap], header: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[list[ColumnMap], str]:
    """Where no name says so, the first column that holds times is the time; its name, or ""."""
    if {each.to for each in columns} & {"slot", "date", "time"}:
        return columns, ""
    places = {name: at for at, name in reversed(list(enumerate(header)))}
    for each in columns:
        cells = [row[places[each.column]] for row in rows]
        cells = [cell for cell in cells if cell not in ("", None)]
        if each.to == "ignore" and _holds_times(cells):
            whole = [ColumnMap(one.column, "slot") if one is each else one for one in columns]
            return whole, each.column
    return columns, ""


def _holds_times(cells: Sequence[Any]) -> bool:
    """Whether all are days with a time of day; a number could be anything."""
    if not cells or not all(isinstance(cell, datetime) or ":" in str(cell) for cell in cells):
        return False
    return any(_reads_all(how, cells) for how in _formats(cells))


def _time_of(
    columns: Sequence[ColumnMap], header: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[TimeFormat, list[str]]:
    """The first format that reads every time of the first rows."""
    places: dict[str, int] = {each.to: list(header).index(each.column) for each in columns}
    cells = [_time_cell(row, places) for row in rows]
    cells = [cell for cell in cells if cell not in (None, "")]
    fits = [how for how in _formats(cells) if _reads_all(how, cells)]
    if not cells or not fits:
        return TimeFormat(), ["no known format reads the times of the first rows; say which"]
    how = fits[0]
    said = []
    if how.zone:
        said.append("the times have no zone; they are taken for the customer's home zone")
    if len(fits) > 1 and "%" in how.format:
        said.append(f"the times also fit {fits[1].format}; {how.format} is taken")
    return how, said


def _time_cell(row: Sequence[Any], places: dict[str, int]) -> Any:
    if "slot" in places:
        return row[places["slot"]]
    if {"date", "time"} <= places.keys():
        return f"{row[places['date']]} {row[places['time']]}".strip()
    return None


def _formats(cells: Sequence[Any]) -> Iterable[TimeFormat]:
    numbers = [number for cell in cells if (number := _number(cell)) is not None]
    if cells and len(numbers) == len(cells):
        yield TimeFormat(format="unix_ms" if min(numbers) >= _MS_FROM else "unix_s")
        return
    yield TimeFormat()
    yield TimeFormat(zone=HOME)
    for pattern in _PATTERNS:
        yield TimeFormat(format=pattern, zone=HOME)


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _reads_all(how: TimeFormat, cells: Sequence[Any]) -> bool:
    read: Callable[[Any, str], Any] = reader(how)
    try:
        for cell in cells:
            read(cell, "UTC" if how.zone else "")
    except RowRefused:
        return False
    return True


def _decimal(rows: Sequence[Sequence[Any]]) -> Any:
    """A comma when numbers are written with one and never with a point."""
    cells = [cell.strip() for row in rows for cell in row if isinstance(cell, str)]
    commas = sum(bool(re.fullmatch(r"-?\d+,\d+", cell)) for cell in cells)
    points = sum(bool(re.fullmatch(r"-?\d+\.\d+", cell)) for cell in cells)
    return "," if commas and not points else "."
