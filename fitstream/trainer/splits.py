"""Honest splits in time: per customer train, then validation, then test days, never mixed.

Must not look at values beyond which days were worn and measured.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fitstream.trainer.data import Ints, Series
from fitstream.trainer.windows import Issue

MIN_COHORT_DAYS = 5
MIN_HISTORY_DAYS = 2
MIN_EVALUATED_DAYS = 12


class Split(NamedTuple):
    """Day windows of one target; every issue is from data before its own local midnight."""

    train: tuple[Issue, ...]
    validation: tuple[Issue, ...]
    test: tuple[Issue, ...]

    @property
    def stop(self) -> tuple[Issue, ...]:
        """Every other validation day: networks stop and are mixed by these."""
        return self.validation[0::2]

    @property
    def gate(self) -> tuple[Issue, ...]:
        """The validation days between them: they alone decide who may serve."""
        return self.validation[1::2]


def day_counts(measured: int, test_days: int) -> tuple[int, int]:
    """(validation, test) days of a customer with so many measured wear days.

    The last third at most is test, at least one day; the third before it at most is validation.
    Under three days there is nothing to hold out.
    """
    if measured < MIN_HISTORY_DAYS + 1:
        return 0, 0
    test = max(1, min(test_days, measured // 3))
    validation = min(test_days, (measured - test) // 3)
    return validation, test


def split_target(series: Mapping[str, Series], target: str, test_days: int) -> Split:
    """Train, validation and test issues of one target, customers in the order of their ids.

    Training days need `MIN_HISTORY_DAYS` measured days before them.
    """
    train: list[Issue] = []
    validation: list[Issue] = []
    test: list[Issue] = []
    for name in sorted(series):
        days = [int(day) for day in series[name].measured_days(target)]
        n_validation, n_test = day_counts(len(days), test_days)
        first_test = len(days) - n_test
        first_validation = first_test - n_validation
        issues = [Issue(name, day, day) for day in days]
        train += issues[MIN_HISTORY_DAYS:first_validation]
        validation += issues[max(first_validation, MIN_HISTORY_DAYS) : first_test]
        test += issues[max(first_test, MIN_HISTORY_DAYS) :]
    return Split(tuple(train), tuple(validation), tuple(test))


def first_days(issues: Iterable[Issue]) -> dict[str, int]:
    """First row of each customer among some issues: pooled statistics stop before it."""
    first: dict[str, int] = {}
    for issue in issues:
        first[issue.customer_id] = min(issue.day, first.get(issue.customer_id, issue.day))
    return first


def days_before(series: Mapping[str, Series], issues: Iterable[Issue]) -> list[tuple[Series, int]]:
    """All customers, each with how many rows lie before the first of their issues."""
    first = first_days(issues)
    return [(each, first.get(name, each.days)) for name, each in sorted(series.items())]


def enough_data(series: Mapping[str, Series], target: str) -> bool:
    """Whether the cohort has wear days enough for anything to be measured."""
    return sum(len(each.measured_days(target)) for each in series.values()) >= MIN_COHORT_DAYS


def split_last_days(series: Mapping[str, Series], target: str, test_days: int) -> Split:
    """As `split_target`, but the test days are the last of each wearer's file, worn or not.

    Wearers with fewer than 12 wear days before them have none: they are learned from, not scored.
    The validation days are the last measured ones before, a third of them at most.
    """
    train: list[Issue] = []
    validation: list[Issue] = []
    test: list[Issue] = []
    for name in sorted(series):
        each = series[name]
        last = [int(day) for day in last_days(each, test_days)]
        days = [int(day) for day in each.measured_days(target) if not last or day < last[0]]
        held = min(test_days, len(days) // 3) if last else 0
        issues = [Issue(name, day, day) for day in days]
        first = len(issues) - held
        train += issues[MIN_HISTORY_DAYS:first]
        validation += issues[max(first, MIN_HISTORY_DAYS) :]
        test += [Issue(name, day, day) for day in last if days]
    return Split(tuple(train), tuple(validation), tuple(test))


def last_days(series: Series, test_days: int) -> Ints:
    """Rows to forecast in an evaluation: the last wear days and the last calendar days.

    Where the two differ, the earlier ones are taken as well, if 12 wear days lie before them; none
    where not even the last calendar days have those.
    """
    wear = np.flatnonzero(series.wear)
    calendar = np.arange(max(series.days - test_days, 0), series.days)
    worn = wear[-test_days:]
    for rows in (np.union1d(worn, calendar), calendar):
        if len(rows) and np.count_nonzero(wear < rows[0]) >= MIN_EVALUATED_DAYS:
            return rows
    return np.empty(0, np.int64)
