"""Numbers, times and states in the words that pages use. Pure: the present is an argument."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from fitstream.errors import Rejected

NBSP = "\N{NO-BREAK SPACE}"
DASH = "–"
_GOOD = frozenset(
    {"ingested", "rolled", "succeeded", "champion", "finished", "current", "replayed"}
)
_BUSY = frozenset(
    {"checking", "checked", "ingesting", "undoing", "running", "closing", "challenger"}
)
_WARN = frozenset({"unmapped", "late", "waiting"})
_BAD = frozenset({"failed", "parked"})
_JOBS = {
    "cohort_prepare": "Data of a cohort run",
    "train_cohort": "Cohort training",
    "train_candidate": "Candidate of a cohort training",
    "customer_prepare": "Data of a customer run",
    "train_customer": "Customer training",
    "forecast": "Forecasts",
    "forecast_today": "Forecasts of today",
    "score_forecasts": "Scores of forecasts",
    "upkeep": "Upkeep",
    "mail": "Mail",
    "set_up_customers": "Folders of new customers",
    "collect_orphans": "Collection of orphan files",
    "week_finished": "Week finished",
    "roll_week": "Roll of a week",
    "upload_check": "Check of an upload",
    "upload_ingest": "Ingestion of an upload",
    "upload_undo": "Undo of an upload",
}
_METRICS = {
    "steps": "Steps",
    "distance_m": "Distance",
    "calories_kcal": "Calories",
    "heart_rate_bpm": "Heart rate",
    "heart_rate_min_bpm": "Lowest heart rate",
    "heart_rate_max_bpm": "Highest heart rate",
    "light_min": "Light activity",
    "moderate_min": "Moderate activity",
    "vigorous_min": "Vigorous activity",
    "sedentary_min": "Sedentary",
    "sleep_min": "Sleep",
    "floors": "Floors",
}
_REASONS = {
    "closed": "week closed",
    "late": "late data",
    "forced": "asked for by hand",
    "priority": "a device's priority changed",
}


def number(value: float | None, digits: int | None = None) -> str:
    """`12,345`; one decimal below ten unless it is whole; a dash for nothing measured."""
    if value is None:
        return DASH
    if digits is None:
        digits = 0 if abs(value) >= 10 or float(value).is_integer() else 1
    return f"{value:,.{digits}f}".replace("-", "−")


def share(part: float, whole: float) -> str:
    """`97.5 %`; never 100 while anything is missing, and never more."""
    if not whole:
        return DASH
    percent = 100 * min(part, whole) / whole
    if part < whole:
        percent = min(percent, 99.9)
    return f"{percent:.0f}{NBSP}%" if percent in (0, 100) else f"{percent:.1f}{NBSP}%"


def count_of(value: int, one: str, many: str | None = None) -> str:
    """`1 week`, `3 weeks`."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def day_of(value: date) -> str:
    """`Mon 23 Nov`."""
    return f"{value:%a} {value.day} {value:%b}"


def long_day(value: date) -> str:
    """`Monday, 23 November`."""
    return f"{value:%A}, {value.day} {value:%B}"


def days_between(first: date, last: date) -> str:
    """`16–22 Nov 2026`, or `30 Nov – 6 Dec 2026`."""
    if first.month == last.month:
        return f"{first.day}{DASH}{last.day} {last:%b %Y}"
    if first.year == last.year:
        return f"{first.day} {first:%b} {DASH} {last.day} {last:%b %Y}"
    return f"{first.day} {first:%b %Y} {DASH} {last.day} {last:%b %Y}"


def clock_of(instant: datetime, zone: str = "UTC") -> str:
    """`Mon 23 Nov 15:30` in `zone`."""
    local = instant.astimezone(known_zone(zone))
    return f"{day_of(local.date())} {local:%H:%M}"


def slot_in(text: str, zone: str = "") -> str:
    """`Mon 23 Nov 15:30` of an RFC 3339 time, in `zone`; without one in UTC, which it says."""
    instant = datetime.fromisoformat(text)
    return clock_of(instant, zone) if zone else f"{clock_of(instant)} UTC"


def in_utc(instant: datetime) -> str:
    """`2026-11-23 20:30 UTC`, for the title of a time."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def machine_time(instant: datetime) -> str:
    """RFC 3339, for the `datetime` attribute."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def known_zone(name: str) -> ZoneInfo:
    """The zone, or UTC for a name this machine does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def span_of(length: timedelta) -> str:
    """`45 seconds`, `12 minutes`, `2 hours`, `3 days`."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, name, least in ((86400, "day", 2), (3600, "hour", 1), (60, "minute", 1)):
        if seconds >= unit * least:
            return count_of(round(seconds / unit), name)
    return count_of(seconds, "second")


def ago(instant: datetime | None, now: datetime) -> str:
    """`3 minutes ago`, or `never`."""
    if instant is None:
        return "never"
    length = now - instant
    return "just now" if length < timedelta(seconds=5) else f"{span_of(length)} ago"


def took(start: datetime | None, end: datetime | None) -> str:
    """How long something ran: `1.9 s`, `2 min 5 s`."""
    if start is None or end is None:
        return DASH
    seconds = (end - start).total_seconds()
    if seconds < 60:
        return f"{number(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def week_of(name: str) -> str:
    """`Week 47` of `2026-W47`."""
    return f"Week {int(name.partition('-W')[2] or 0)}"


def tone(state: str) -> str:
    """Which colour a state's tag has: good, busy, warn, bad or none."""
    for group, name in ((_GOOD, "good"), (_BUSY, "busy"), (_WARN, "warn"), (_BAD, "bad")):
        if state in group:
            return name
    return ""


def plain(code: str) -> str:
    """`Not worn` of `not_worn`."""
    return code.replace("_", " ").capitalize()


def job_kind(kind: str) -> str:
    """What a job does."""
    return _JOBS.get(kind, plain(kind))


def metric(name: str) -> str:
    """A metric's label."""
    return _METRICS.get(name, plain(name))


def unit(name: str) -> str:
    """A metric's unit, read from its name; counts have none."""
    ending = name.rpartition("_")[2]
    return {"m": "m", "kcal": "kcal", "bpm": "bpm", "min": "min"}.get(ending, "")


def reason(code: str) -> str:
    """Why a version was made."""
    return _REASONS.get(code, plain(code).lower())


def capital(text: str) -> str:
    """The sentence with a capital letter and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def sentence_of(error: Rejected) -> str:
    """What a refused form says to the person who sent it."""
    return capital(error.message)
