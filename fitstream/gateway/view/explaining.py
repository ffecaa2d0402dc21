"""Why a forecast is what it is, in plain words: days it looks like, and what changed it. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec

from fitstream.client.forecasts import Explained, ExplainedDay, PastDay
from fitstream.gateway.view import words

_NAMED = 5
_MOSTLY = 0.5
_LEAST = 0.01  # of the mean, for a change to be told
_CHANGES = {
    "weekday": "because it is a {weekday}",
    "recency": "as the last days went",
    "cohort": "as days of others like {whose} go",
    "attention": "as a trained model picks among {my} past days",
    "today": "as today has gone so far",
    "networks": "by patterns that a model learned",
}


class LikeDay(NamedTuple):
    """A past day, its share of the weight in percent, and what comes from it."""

    name: str
    share: float
    adds: float


class Change(NamedTuple):
    """One step from what is usual to the forecast: `−400`, `because it is a Tuesday`."""

    amount: str
    words: str


class ExplainedView(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a forecast explained; `attention` is how many percent of the weights Transformers
    gave."""

    sentence: str
    days: list[LikeDay]
    cohort: float
    attention: float
    usual: float
    changes: list[Change]
    mean: float


def explained_view(
    found: Explained | None, today: date, day: date | None = None, whose: str = "your"
) -> ExplainedView | None:
    """The day asked for, else the first one; None where nothing is explained."""
    if found is None or not found.items:
        return None
    item = next((each for each in found.items if each.day == day), found.items[0])
    return ExplainedView(
        sentence=sentence(item, today, found.horizon, whose),
        days=[
            LikeDay(words.day_of(past.day), 100 * past.weight, past.adds)
            for past in item.days[:_NAMED]
        ],
        cohort=100 * item.cohort.weight,
        attention=100 * item.attention,
        usual=item.effects.usual,
        changes=_changes(item, whose),
        mean=item.mean,
    )


def sentence(item: ExplainedDay, today: date, horizon: str, whose: str = "your") -> str:
    """`Tomorrow looks most like last Monday and the Monday before.`"""
    name = "The rest of today" if horizon == "today" else _coming(item.day, today)
    if not item.days:
        return f"{name} follows the days of everyone who consented: {whose} own are too few yet."
    likely = _past(item.days[:2], today)
    mostly = (
        f" Mostly it follows the days of everyone who consented, as {whose} own are few yet."
        if item.cohort.weight > _MOSTLY
        else ""
    )
    return f"{name} looks most like {' and '.join(likely)}.{mostly}"


def _coming(day: date, today: date) -> str:
    ahead = (day - today).days
    if ahead in (0, 1):
        return ("Today", "Tomorrow")[ahead]
    return f"{day:%A}" if 1 < ahead < 7 else words.long_day(day)


def _past(days: Sequence[PastDay], today: date) -> list[str]:
    names: list[str] = []
    for index, past in enumerate(days):
        before = days[index - 1].day if index else None
        if before is not None and before - past.day == timedelta(days=7):
            names.append(f"the {past.day:%A} before")
        else:
            names.append(_ago(past.day, today))
    return names


def _ago(day: date, today: date) -> str:
    ago = (today - day).days
    if ago == 1:
        return "yesterday"
    return f"last {day:%A}" if 1 < ago <= 7 else f"{day:%A} {day.day} {day:%B}"


def _changes(item: ExplainedDay, whose: str) -> list[Change]:
    if not item.days:
        return []
    least = _LEAST * abs(item.mean)
    steps = msgspec.structs.asdict(item.effects)
    weekday = f"{item.day:%A}"
    theirs = {"your": "yours", "their": "theirs"}.get(whose, whose)
    return [
        Change(_signed(steps[name]), text.format(weekday=weekday, whose=theirs, my=whose))
        for name, text in _CHANGES.items()
        if abs(steps[name]) >= least
    ]


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{words.number(abs(value))}"  # noqa: RUF001 - a minus
