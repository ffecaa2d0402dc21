"""The pure parts of `fitstream verify`: numbers, manifests, positions, counters, the report."""

from pathlib import Path
from typing import Any

import pytest

from fitstream.operations.findings import CHECKS, Finding, Report, WeekKey
from fitstream.operations.ledger_checks import beyond, miscounted
from fitstream.operations.week_checks import WeekFacts, check_week, manifest_differences, numbering
from fitstream.repo.checks import CheckedWeek, LedgerPosition
from fitstream.repo.weeks import WeekVersion
from tests.factories import NOW
from tests.fakes.store import FakeStore


def version(number: int, **fields: Any) -> WeekVersion:
    base: dict[str, Any] = {
        "version": number,
        "content_sha": "ab" * 32,
        "rows": 3,
        "slots": 3,
        "measured": 2,
        "files": [{"kind": "week", "key": f"v{number:04d}", "sha256": "00" * 32, "bytes": 1}],
        "reason": "week closed",
        "changed": {},
        "created_at": NOW,
    }
    return WeekVersion(**base | fields)


def facts(*versions: WeekVersion, **fields: Any) -> WeekFacts:
    base: dict[str, Any] = {
        "customer_no": 1,
        "customer_id": "cus_1",
        "week": "2026-W47",
        "start_slot": 0,
        "end_slot": 672,
        "dirty_seq": 2,
        "rolled_seq": 1,
        "current_version": len(versions) or None,
        "closed_at": NOW,
        "rolled_at": NOW,
        "is_overdue": False,
    }
    return WeekFacts(CheckedWeek(**base | fields), versions, None)


@pytest.mark.parametrize(
    ("week", "said"),
    [
        (facts(version(1), version(2)), []),
        (facts(rolled_seq=0, rolled_at=None), []),
        (facts(version(1), version(3), current_version=3), ["versions are [1, 3]"]),
        (
            facts(version(1), version(2), current_version=1),
            ["current is 1, the newest is 2"],
        ),
        (
            facts(version(1), current_version=None),
            ["current is None, the newest is 1"],
        ),
        (facts(), ["it was rolled and has no version"]),
        (facts(version(1), rolled_seq=3), ["rolled_seq 3 is beyond dirty_seq 2"]),
    ],
)
def test_versions_are_contiguous_and_the_newest_is_current(
    week: WeekFacts, said: list[str]
) -> None:
    assert numbering(week) == said


def test_a_manifest_says_what_its_version_says() -> None:
    week = facts(version(1))
    manifest = {
        "customer_id": "cus_1",
        "week": "2026-W47",
        "version": 1,
        "content_sha": "ab" * 32,
        "rows": 3,
        "measured": 2,
        "files": version(1).files,
    }
    assert manifest_differences(manifest, week, version(1)) == []
    for name in manifest:
        assert manifest_differences(manifest | {name: "other"}, week, version(1)) == [name]
    assert len(manifest_differences({}, week, version(1))) == len(manifest)


async def test_damage_to_an_old_version_stands_apart_when_a_later_one_has_its_content() -> None:
    store = FakeStore()
    body = b'{"made": "for this"}'
    sound = await store.put_new("manifest-v0002", body)
    good = [{"kind": "manifest", "key": sound.key, "sha256": sound.sha256, "bytes": sound.size}]
    for sha, apart in (("ab" * 32, True), ("cd" * 32, False)):
        report = Report()
        await check_week(store, facts(version(1), version(2, files=good, content_sha=sha)), report)
        assert ("replaced" in report.apart) is apart
        assert ("file" in report.differences) is not apart


def test_a_group_may_stand_before_the_ledger_and_never_beyond() -> None:
    found = [LedgerPosition(0, 10, 0, 0, 0, 0)]
    assert beyond({0: 10, 1: 0}, found) == []
    assert beyond({0: 3}, found) == []
    assert beyond({0: 11}, found) == ["partition 0: the group stands at 11, the ledger at 10"]
    assert beyond({1: 1}, found)[0].endswith("the ledger at nothing")


def test_counters_of_a_partition_cannot_exceed_what_was_read() -> None:
    assert miscounted(LedgerPosition(0, 10, 10, 100, 60, 40)) == []
    assert len(miscounted(LedgerPosition(0, 10, 11, 100, 60, 41))) == 2


def test_a_report_is_clean_until_something_differs_and_counts_what_it_does_not_keep() -> None:
    report = Report()
    report.stands_apart(Finding("gap", "dev_1", "3 slots"))
    assert report.is_clean
    assert report.lines()[-1] == "clean"
    for number in range(1200):
        week = WeekKey(1, f"2026-W{number % 2 + 10}")
        report.differs(Finding("file", f"week {number}", "is missing"), week)
    assert not report.is_clean
    assert report.lines()[-1] == "1200 differences"
    assert f"DIFFERENCE file: 1200 – {CHECKS['file']}" in report.lines()
    shown = report.as_dict()["differences"]["file"]
    assert (shown["count"], len(shown["found"])) == (1200, 1000)
    assert sorted(report.weeks) == [(1, "2026-W10"), (1, "2026-W11")]


def test_every_check_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for check in CHECKS:
        assert f"`{check}`" in text, check
