"""Honest splits in time: per customer train, then validation, then test days, never mixed.

Must not look at values beyond which days were worn and measured.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fitstream.trainer.data import Series
from fitstream.trainer.windows import Issue

MIN_COHORT_DAYS = 5
MIN_HISTORY_DAYS = 2


class Split(NamedTuple):
    """Day windows of one target; every issue is from data before its own local midnight."""

    train: tuple[Issue, ...]
    validation: tuple[Issue, ...]
    test: tuple[Issue, ...]


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


def first_held_out(split: Split) -> dict[str, int]:
    """First validation or test row of each customer: pooled statistics stop before it."""
    first: dict[str, int] = {}
    for issue in (*split.validation, *split.test):
        first[issue.customer_id] = min(issue.day, first.get(issue.customer_id, issue.day))
    return first


def enough_data(series: Mapping[str, Series], target: str) -> bool:
    """Whether the cohort has wear days enough for anything to be measured."""
    return sum(len(each.measured_days(target)) for each in series.values()) >= MIN_COHORT_DAYS
