"""A file of wearers as devices would have sent it: shift, columns, absences, clear errors."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import posts, samples
from fitstream.errors import Rejected
from fitstream.simulate.importing import device_name, shift_in
from fitstream.simulate.wearers_file import (
    WearerDay,
    days_of,
    read_wearers,
    weeks_to_shift,
)
from tests.factories import post_json

REAL = Path(__file__).parents[2] / "dataset" / "wearers_15min.parquet"
DAY = datetime(2016, 4, 13)  # noqa: DTZ001  local wall time, as in the file
QUARTER = timedelta(minutes=15)
WEEK = timedelta(weeks=1)


def write(folder: Path, rows: int = 96, drop: tuple[str, ...] = (), **columns: Any) -> Path:
    """A file of one wearer; every column may be replaced, added or dropped."""
    table: dict[str, Any] = {
        "wearer": [1503960366] * rows,
        "slot_local": [DAY + i * QUARTER for i in range(rows)],
        "steps": [float(i) for i in range(rows)],
        "calories_kcal": [20.123] * rows,
        "distance_m": [70.26] * rows,
        "heart_rate_bpm": [None if i % 2 else 70.25 for i in range(rows)],
        "active_minutes": [9.0] * rows,
        "mvpa_minutes": [4.0] * rows,
        "wear_day": [True] * rows,
    }
    table |= columns
    path = folder / "few.parquet"
    pq.write_table(pa.table({k: v for k, v in table.items() if k not in drop}), path)
    return path


def days(path: Path, shift: int = 0, last: int | None = None) -> list[WearerDay]:
    (rows,) = read_wearers(path).wearers.values()
    return list(days_of(rows, shift, last))


def first_row(path: Path) -> Mapping[str, Any]:
    return days(path)[0].rows[0]


@given(
    st.integers(1_400_000_000, 1_900_000_000).map(lambda second: second // 900 * 900),
    st.floats(1_400_000_000, 2_200_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
)
def test_auto_is_the_largest_shift_that_ends_in_the_past(last_s: int, now: datetime) -> None:
    weeks = weeks_to_shift(last_s, now)
    end = datetime.fromtimestamp(last_s + 900, UTC) + weeks * WEEK
    assert end <= now < end + WEEK


def test_the_columns_become_the_metrics_of_the_contract(tmp_path: Path) -> None:
    row = days(write(tmp_path))[0].rows[2]
    assert row == {
        "slot": "2016-04-13T04:30:00Z",
        "tz_offset_min": -240,
        "steps": 2,
        "calories_kcal": 20.12,
        "distance_m": 70.3,
        "heart_rate_bpm": 70.2,
        "light_min": 5.0,
        "moderate_min": 4.0,
    }
    assert isinstance(row["steps"], int)


def test_columns_named_as_in_the_contract_are_taken_as_they_are(tmp_path: Path) -> None:
    row = first_row(write(tmp_path, floors=[3] * 96, sleep_min=[1.0] * 96, light_min=[2.0] * 96))
    assert (row["floors"], row["sleep_min"], row["light_min"]) == (3, 1.0, 2.0)


def test_what_was_not_measured_is_absent_and_never_zero(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        heart_rate_bpm=[float("inf")] * 96,
        steps=[float("nan")] * 96,
        calories_kcal=[None] * 96,
    )
    assert not {"heart_rate_bpm", "steps", "calories_kcal"} & set(first_row(path))


def test_outside_wear_days_a_row_says_not_worn(tmp_path: Path) -> None:
    worn = [True] * 48 + [False] * 47 + [None]
    day = days(write(tmp_path, wear_day=worn))[0]
    assert len(day.rows) == 96
    assert "steps" in day.rows[47]
    assert all(set(row) == {"slot", "tz_offset_min"} for row in day.rows[48:])


def test_a_file_without_wear_days_was_worn_throughout(tmp_path: Path) -> None:
    assert first_row(write(tmp_path, drop=("wear_day",)))["steps"] == 0


@pytest.mark.parametrize(
    "drop", ["steps", "calories_kcal", "distance_m", "heart_rate_bpm", "mvpa_minutes", "wear_day"]
)
def test_optional_columns_may_be_absent(tmp_path: Path, drop: str) -> None:
    assert len(days(write(tmp_path, drop=(drop,)))[0].rows) == 96


@pytest.mark.parametrize("name", ["wearer", "slot_local"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(Rejected, match=name) as error:
        read_wearers(write(tmp_path, drop=(name,)))
    assert error.value.code == "missing_column"


def test_a_file_without_any_metric_is_refused(tmp_path: Path) -> None:
    metrics = ("steps", "calories_kcal", "distance_m", "heart_rate_bpm", "mvpa_minutes")
    with pytest.raises(Rejected, match="metric"):
        read_wearers(write(tmp_path, drop=metrics))
    with pytest.raises(Rejected, match="metric"):
        read_wearers(write(tmp_path, drop=(*metrics, "active_minutes")))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("slot_local", ["yesterday"] * 96),
        ("slot_local", [DAY.replace(tzinfo=UTC)] * 96),
        ("slot_local", [None, *[DAY] * 95]),
        ("wearer", [None, *[1] * 95]),
        ("steps", ["many"] * 96),
        ("wear_day", ["perhaps"] * 96),
    ],
)
def test_a_column_of_the_wrong_kind_is_named(
    tmp_path: Path, column: str, values: list[Any]
) -> None:
    with pytest.raises(Rejected, match=column) as error:
        read_wearers(write(tmp_path, **{column: values}))
    assert error.value.code == "bad_column"


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("steps,calories")
    for path in (tmp_path / "text.parquet", tmp_path / "absent.parquet", tmp_path):
        with pytest.raises(Rejected, match="Parquet"):
            read_wearers(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no rows"):
        read_wearers(write(tmp_path, rows=0))


def test_a_day_ends_at_local_midnight_and_the_last_with_its_last_slot(tmp_path: Path) -> None:
    first, second = days(write(tmp_path, rows=96 + 40))
    assert first.end == datetime(2016, 4, 14, 4, 0, tzinfo=UTC)
    assert second.end == datetime(2016, 4, 14, 14, 0, tzinfo=UTC)
    assert (len(first.rows), len(second.rows)) == (96, 40)


def test_whole_weeks_move_slots_and_ends_alike(tmp_path: Path) -> None:
    path = write(tmp_path)
    ((here,), (moved,)) = days(path), days(path, 549)
    assert moved.end - here.end == 549 * WEEK
    slots = [datetime.fromisoformat(day.rows[0]["slot"]) for day in (here, moved)]
    assert slots[1] - slots[0] == 549 * WEEK


def test_only_the_last_days_are_taken(tmp_path: Path) -> None:
    taken = days(write(tmp_path, rows=5 * 96), last=2)
    assert [day.rows[0]["slot"][:10] for day in taken] == ["2016-04-16", "2016-04-17"]


def test_a_day_of_too_many_rows_comes_in_parts_that_claim_nothing_too_early(tmp_path: Path) -> None:
    slots = [DAY + timedelta(seconds=30 * i) for i in range(2880)]
    parts = days(write(tmp_path, rows=2880, slot_local=slots))
    assert [len(part.rows) for part in parts] == [1500, 1380]
    assert parts[0].end.isoformat() == parts[0].rows[-1]["slot"].replace("Z", "+00:00")


def test_rows_in_any_order_become_days_in_order(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(3 * 96).tolist()
    path = write(tmp_path, rows=3 * 96, slot_local=[DAY + i * QUARTER for i in order])
    texts = [row["slot"] for day in days(path) for row in day.rows]
    assert texts == sorted(texts)


def test_the_gateway_accepts_every_row_of_the_real_file() -> None:
    file = read_wearers(REAL)
    now = datetime(2026, 11, 24, 17, tzinfo=UTC)
    shift = weeks_to_shift(file.last_s, now)
    accepted = 0
    for rows in file.wearers.values():
        for day in days_of(rows, shift):
            decoded = posts.decode_json(post_json(day.rows), 2000)
            checked = samples.check(decoded, samples.window(now, 400))
            assert not checked.rejected
            accepted += checked.accepted
    assert (len(file.wearers), accepted) == (22, file.rows)
    assert file.rows == pq.read_metadata(REAL).num_rows


def test_a_device_tells_how_far_its_file_was_moved() -> None:
    assert shift_in(device_name("few", 549), "few") == 549
    assert shift_in(device_name("few", -3), "few") == -3
    assert shift_in("my watch", "few") is None
    assert shift_in(device_name("other", 1), "few") is None
