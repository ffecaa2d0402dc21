"""What a row would change: outcomes against other devices and within the file, and their report."""

from fitstream.merge import combine_devices
from fitstream.samples import Verdict
from fitstream.uploads.compare import Seen, There, difference
from fitstream.uploads.report import (
    RowVerdict,
    Summing,
    decode_part,
    encode_part,
    parts_with,
    refusals,
)
from tests.factories import values, version


def there(priority: int, **measured: int) -> There:
    return There(priority, values(**measured))


def test_each_outcome_says_what_readers_would_see() -> None:
    watch = [there(10, steps=100)]
    assert difference(version(steps=1), 5, []).outcome == "new"
    assert difference(version(steps=100), 5, watch).outcome == "same"
    assert difference(version(steps=1), 1000, watch).outcome == "loses"
    assert difference(version(steps=100, floors=2), 1000, watch).outcome == "adds"
    assert difference(version(steps=1), 10, watch).outcome == "conflict"
    found = difference(version(steps=1), 5, watch)
    assert (found.outcome, found.changes) == ("supersedes", {"steps": (100, 1)})
    assert difference(version(deleted=True), 0, watch).outcome == "same"
    assert difference(version(), 0, watch).outcome == "same"


def test_a_group_of_metrics_comes_from_one_device() -> None:
    phone = [there(20, heart_rate_bpm=700, heart_rate_min_bpm=600)]
    row = version(heart_rate_bpm=650)
    after = combine_devices([row.values, phone[0].values])
    assert after[4] is None  # the least rate of the other device goes with it
    assert difference(row, 5, phone).outcome == "supersedes"


def test_rows_of_one_file_are_merged_before_they_are_compared() -> None:
    seen = Seen()
    assert seen.note(1, 5, version(steps=1)) is None
    assert seen.note(2, 5, version(steps=1)) is None
    assert seen.note(1, 5, version(steps=1)) == "same"
    assert seen.note(1, 5, version(steps=2)) == "conflict"
    assert seen.note(1, 5, version(steps=2, floors=1)) is None
    assert seen.note(1, 5, version(steps=3)) == "loses"
    assert seen.note(1, 5, version(rev=1, steps=3)) is None


def test_a_report_finds_its_rows_again() -> None:
    summing = Summing("p/")
    first = [
        RowVerdict(1, "new", "cus_1", 7),
        *refusals([Verdict(0, "out_of_range", "steps: no")], "cus_1"),
    ]
    second = [RowVerdict(2, "same", "cus_2", 9, None, None, {"steps": (1, 2)})]
    summing.add(0, 2, first)
    summing.add(2, 3, second)
    report = summing.done()
    assert (report.rows, report.customers, report.codes) == (3, 2, {"out_of_range": 1})
    assert (report.first_slot, report.last_slot) == (7, 9)
    assert report.by_customer == {"cus_1": {"new": 1, "rejected": 1}, "cus_2": {"same": 1}}
    assert [part.first for part in parts_with(report, ["same"], 0)] == [2]
    assert [part.first for part in parts_with(report, [], 2)] == [2]
    assert [row.index for row in decode_part(encode_part(first))] == [0, 1]
    assert decode_part(encode_part(second)) == second
