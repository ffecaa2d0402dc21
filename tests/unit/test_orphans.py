"""Which objects belong to a week, and when an orphan may go."""

from datetime import timedelta

import pytest

from fitstream.orphans import Orphan, WeekObject, is_collectable, week_object
from fitstream.store import Listed
from tests.factories import NOW

FOLDER = "users/cus_1/weeks/2026-W47"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("v0001-0123456789ab.parquet", 1),
        ("v0012-0123456789ab-originals.parquet", 12),
        ("manifest-v0003-0123456789ab.json", 3),
        ("v12345-0123456789ab.parquet", 12345),
    ],
)
def test_the_rollers_names_tell_customer_week_and_version(name: str, version: int) -> None:
    found = week_object(Listed(f"{FOLDER}/{name}", 1, NOW))
    assert found == WeekObject(f"{FOLDER}/{name}", NOW, "cus_1", "2026-W47", version)


@pytest.mark.parametrize(
    "key",
    [
        f"{FOLDER}/v0001.parquet",
        f"{FOLDER}/v0001-0123456789ab.json",
        f"{FOLDER}/v0001-0123456789ab.parquet.bak",
        f"{FOLDER}/more/v0001-0123456789ab.parquet",
        "users/cus_1/weeks/2026-47/v0001-0123456789ab.parquet",
        "users/cus_1/forecasts/v0001-0123456789ab.parquet",
        "users/weeks/2026-W47/v0001-0123456789ab.parquet",
        "raw/users/cus_1/weeks/2026-W47/v0001-0123456789ab.parquet",
        "datasets/default/part-00.parquet",
    ],
)
def test_any_other_name_is_no_part_of_a_week(key: str) -> None:
    assert week_object(Listed(key, 1, NOW)) is None


@pytest.mark.parametrize(
    ("hours", "is_past", "goes"),
    [(25, True, True), (24, True, False), (1, True, False), (1000, False, False)],
)
def test_an_orphan_goes_when_it_is_old_and_its_version_is_past(
    hours: int, is_past: bool, goes: bool
) -> None:
    made = WeekObject(f"{FOLDER}/v0001-0123456789ab.parquet", NOW, "cus_1", "2026-W47", 1)
    assert is_collectable(Orphan(made, is_past), NOW + timedelta(hours=hours)) is goes
