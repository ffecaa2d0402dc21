"""The predecessor's daily CSV, 20 columns and one row a day, as summaries of days; pure.

Such a row says what a day came to, not when: it must never become samples. The session token in it
is handed out once, to be revoked, and is no part of a summary; the `id` in it decides nothing.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from fitstream.errors import Rejected
from fitstream.samples import Verdict

PROVENANCE = "legacy-daily"
COLUMNS = (
    "auth_token", "id", "date", "activeScore", "activityCalories", "caloriesBMR", "caloriesOut",
    "marginalCalories", "steps", "totaldistance", "trackerdistance", "loggedActivitiesdistance",
    "moderateActivedistance", "veryActivedistance", "veryActiveMinutes", "lightlyActivedistance",
    "lightlyActiveMinutes", "sedentaryActivedistance", "sedentaryMinutes", "heartData",
)  # fmt: skip
FIRST_DAY = date(2000, 1, 1)
_ABSENT = ("", "null", "NaN")
_TEXT_MAX = 65_536
_DEPTH_MAX = 8
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_JAVA_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<month>[A-Z][a-z]{2}) (?P<day>\d\d)"
    r" (?P<time>\d\d:\d\d:\d\d) (?P<zone>\S{1,40}) (?P<year>\d{4})"
)
_GMT = re.compile(r"(?:GMT|UTC|Z)(?:(?P<sign>[+-])(?P<hours>\d\d?):?(?P<minutes>\d\d))?")
_RFC_5322 = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


class HeartZone(msgspec.Struct, frozen=True, omit_defaults=True):
    """Minutes spent in a range of heart rates."""

    name: str
    minutes: int | None = None
    min_bpm: int | None = None
    max_bpm: int | None = None
    kcal: float | None = None


class DailySummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one day came to; absent means not said. Distances are in the unit of the sender, which
    was kilometres unless the phone was set to miles."""

    day: date
    recorded_at: datetime
    steps: int | None = None
    active_score: int | None = None
    activity_kcal: float | None = None
    bmr_kcal: float | None = None
    out_kcal: float | None = None
    marginal_kcal: float | None = None
    total_distance: float | None = None
    tracker_distance: float | None = None
    logged_distance: float | None = None
    very_active_distance: float | None = None
    moderate_distance: float | None = None
    light_distance: float | None = None
    sedentary_distance: float | None = None
    very_active_min: int | None = None
    light_min: int | None = None
    sedentary_min: int | None = None
    resting_heart_rate_bpm: int | None = None
    heart_zones: list[HeartZone] = []


class Parsed(NamedTuple):
    """Readable rows, a verdict on each other one, and the tokens that lay in the file.

    A verdict `heart_unreadable` is only a note: its row counts without its heart rates.
    """

    summaries: list[DailySummary]
    rejected: list[Verdict]
    tokens: list[str]


class _Field(NamedTuple):
    name: str
    latest: float
    is_whole: bool


_FIELDS = {
    "activeScore": _Field("active_score", 100_000, True),
    "activityCalories": _Field("activity_kcal", 50_000, False),
    "caloriesBMR": _Field("bmr_kcal", 50_000, False),
    "caloriesOut": _Field("out_kcal", 50_000, False),
    "marginalCalories": _Field("marginal_kcal", 50_000, False),
    "steps": _Field("steps", 300_000, True),
    "totaldistance": _Field("total_distance", 1000, False),
    "trackerdistance": _Field("tracker_distance", 1000, False),
    "loggedActivitiesdistance": _Field("logged_distance", 1000, False),
    "moderateActivedistance": _Field("moderate_distance", 1000, False),
    "veryActivedistance": _Field("very_active_distance", 1000, False),
    "veryActiveMinutes": _Field("very_active_min", 1440, True),
    "lightlyActivedistance": _Field("light_distance", 1000, False),
    "lightlyActiveMinutes": _Field("light_min", 1440, True),
    "sedentaryActivedistance": _Field("sedentary_distance", 1000, False),
    "sedentaryMinutes": _Field("sedentary_min", 1440, True),
}


def is_daily_header(names: Sequence[str]) -> bool:
    """Whether these columns are those of the daily kind, in any order."""
    return {name.strip() for name in names} == set(COLUMNS)


def parse(body: bytes, zone: str, now: datetime, rows_max: int) -> Parsed:
    """Rows of the file for a customer whose home zone is `zone`.

    Raises Rejected(unreadable, unknown_field, missing_field, too_many_rows) for the file as a
    whole. Codes of a row: `wrong_type`, `out_of_range`, `future_day`, `too_old`.
    """
    header, lines = _lines(body, rows_max)
    summaries, rejected, tokens = [], [], []
    latest = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    for index, line in enumerate(lines):
        cells = dict(zip(header, (cell.strip() for cell in line), strict=False))
        tokens += [token for token in (cells.pop("auth_token", ""),) if token not in _ABSENT]
        try:
            _check_count(header, line)
            found, note = _summary(cells, zone, latest)
        except _Wrong as error:
            rejected.append(Verdict(index, error.code, str(error)))
            continue
        summaries.append(found)
        if note:
            rejected.append(Verdict(index, "heart_unreadable", note))
    return Parsed(summaries, rejected, tokens)


def parse_java_date(text: str, zone: str) -> tuple[date, datetime]:
    """Day on the phone's wall and instant of a Java `Date.toString()`; raises ValueError.

    The abbreviation of a zone names several: the customer's own zone is asked first, then RFC 5322;
    one that neither knows is taken as the customer's own wall clock.
    """
    found = _JAVA_DATE.fullmatch(text)
    if found is None or found["month"] not in _MONTHS:
        raise ValueError("write it like Wed Aug 12 14:03:22 CDT 2020")
    month = _MONTHS.index(found["month"]) + 1
    wall = datetime.fromisoformat(f"{found['year']}-{month:02d}-{found['day']}T{found['time']}")
    return wall.date(), wall.replace(tzinfo=_offset(found["zone"], wall, zone)).astimezone(UTC)


def _offset(name: str, wall: datetime, zone: str) -> timezone | ZoneInfo:
    home = ZoneInfo(zone)
    for at in (wall, wall.replace(month=1, day=1), wall.replace(month=7, day=1)):
        for fold in (0, 1):
            known = at.replace(tzinfo=home, fold=fold)
            offset = known.utcoffset()
            if known.tzname() == name and offset is not None:
                return timezone(offset)
    if given := _GMT.fullmatch(name):
        minutes = int(given["hours"] or 0) * 60 + int(given["minutes"] or 0)
        signed = -minutes if given["sign"] == "-" else minutes
        return timezone(timedelta(minutes=signed)) if minutes <= 14 * 60 else home
    return timezone(timedelta(hours=_RFC_5322[name])) if name in _RFC_5322 else home


class _Wrong(Exception):
    """Why a row is refused."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def _lines(body: bytes, rows_max: int) -> tuple[list[str], list[list[str]]]:
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=None)) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Rejected("unreadable", f"the body is not UTF-8 CSV: {error}") from error
    if not lines:
        raise Rejected("unreadable", "the CSV is empty; it needs its header line")
    header = [name.strip() for name in lines[0]]
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        text = f"column {unknown[0][:40]!r} is none of the daily kind"
        raise Rejected("unknown_field", text, 422)
    if "date" not in header or len(set(header)) < len(header) or len(lines) == 1:
        text = "a daily CSV needs each column once, `date`, and at least one row"
        raise Rejected("missing_field", text, 422)
    if len(lines) - 1 > rows_max:
        raise Rejected("too_many_rows", f"send at most {rows_max} rows at once", 413)
    return header, lines[1:]


def _check_count(header: Sequence[str], line: Sequence[str]) -> None:
    if len(line) != len(header):
        raise _Wrong("wrong_type", f"{len(line)} cells where the header has {len(header)}")


def _summary(cells: Mapping[str, str], zone: str, latest: date) -> tuple[DailySummary, str]:
    try:
        day, recorded_at = parse_java_date(cells["date"], zone)
    except (ValueError, OverflowError) as error:
        raise _Wrong("wrong_type", f"date: {error}") from error
    if day > latest:
        raise _Wrong("future_day", f"{day} has not come yet; check the phone's clock")
    if day < FIRST_DAY:
        raise _Wrong("too_old", f"{day} lies before {FIRST_DAY}")
    values = {
        field.name: _number(name, cells[name], field)
        for name, field in _FIELDS.items()
        if cells.get(name, "") not in _ABSENT
    }
    resting, zones, note = _heart(cells.get("heartData", ""))
    return DailySummary(
        day=day,
        recorded_at=recorded_at,
        resting_heart_rate_bpm=resting,
        heart_zones=zones,
        **values,  # type: ignore[arg-type]  # by name: whole or not as _FIELDS says
    ), note


def _number(name: str, cell: str, field: _Field) -> float | int | None:
    try:
        value = float(cell)
    except ValueError:
        raise _Wrong("wrong_type", f"{name}: {cell[:40]!r} is not a number") from None
    if field.name == "active_score" and value == -1:
        return None  # the sender's sign for "not known"
    if not 0 <= value <= field.latest:  # NaN is none of it either
        raise _Wrong("out_of_range", f"{name}: {cell[:40]} is not from 0 to {field.latest:g}")
    if field.is_whole and not value.is_integer():
        raise _Wrong("wrong_type", f"{name}: {cell[:40]} is not a whole number")
    return int(value) if field.is_whole else value


def _heart(text: str) -> tuple[int | None, list[HeartZone], str]:
    """Resting rate and zones of a `heartData` cell, and what is wrong with it if anything is."""
    if text in _ABSENT:
        return None, [], ""
    try:
        days = read_java_text(text)["activitiesHeart"]
        value = days[-1]["value"] if days else {}
        found = value.get("heartRateZones") or []
        resting = _whole(value.get("restingHeartRate"), 20, 260)
        return resting, [_zone(entry) for entry in found], ""
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        return None, [], f"heartData was left out: {error}"


def _zone(entry: Mapping[str, str]) -> HeartZone:
    return HeartZone(
        name=str(entry["name"])[:40],
        minutes=_whole(entry.get("minutes"), 0, 1440),
        min_bpm=_whole(entry.get("min"), 0, 300),
        max_bpm=_whole(entry.get("max"), 0, 300),
        kcal=_bounded(entry.get("caloriesOut"), 0, 50_000),
    )


def _whole(text: str | None, first: int, last: int) -> int | None:
    value = _bounded(text, first, last)
    return None if value is None else round(value)


def _bounded(text: str | None, first: int, last: int) -> float | None:
    if text is None or text in _ABSENT:
        return None
    value = float(text)
    if not math.isfinite(value) or not first <= value <= last:
        raise ValueError(f"{text[:20]} is not from {first} to {last}")
    return value


def read_java_text(text: str) -> dict[str, Any]:
    """`Name{key=value|key=[…]}` as the phone writes its objects, as dicts, lists and texts.

    Raises ValueError for any other shape, and for one that is too long or too deep.
    """
    if len(text) > _TEXT_MAX:
        raise ValueError(f"longer than {_TEXT_MAX} characters")
    found, end = _value(text, 0, 0)
    if end != len(text) or not isinstance(found, dict):
        raise ValueError(f"it does not end where it should, at character {end}")
    return found


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deep")
    if text[at : at + 1] == "[":
        return _sequence(text, at + 1, "]", lambda place: _value(text, place, depth + 1))
    if text[at : at + 1] == "'":
        end = text.index("'", at + 1)
        return text[at + 1 : end], end + 1
    word = _word(text, at)
    end = at + len(word)
    if text[end : end + 1] != "{":
        return word, end
    pairs, end = _sequence(text, end + 1, "}", lambda place: _pair(text, place, depth + 1))
    return dict(pairs), end


def _pair(text: str, at: int, depth: int) -> tuple[tuple[str, Any], int]:
    name = _word(text, at)
    end = at + len(name)
    if not name or text[end : end + 1] != "=":
        raise ValueError(f"a name and = were expected at character {at}")
    value, end = _value(text, end + 1, depth)
    return (name, value), end


def _sequence(
    text: str, at: int, close: str, read: Callable[[int], tuple[Any, int]]
) -> tuple[list[Any], int]:
    found: list[Any] = []
    while text[at : at + 1] != close:
        if found:
            if text[at : at + 1] != "|":
                raise ValueError(f"| or {close} was expected at character {at}")
            at += 1
        item, at = read(at)
        found.append(item)
    return found, at + 1


_WORD = re.compile(r"[^{}\[\]|=']*")


def _word(text: str, at: int) -> str:
    found = _WORD.match(text, at)
    return found.group() if found else ""
