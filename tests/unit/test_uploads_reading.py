"""Files as tables: what is read, what is refused, and what hostile ones do not do."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fitstream.errors import Rejected
from fitstream.uploads.opening import PEEK_BYTES, format_of, open_table
from fitstream.uploads.tabular import Bounds, TableFile
from fitstream.uploads.timestamps import RowRefused

BOUNDS = Bounds(rows=1000, inflated_bytes=1_000_000)


def opened(folder: Path, body: bytes, bounds: Bounds = BOUNDS) -> TableFile:
    path = folder / "file"
    path.write_bytes(body)
    return open_table(path, format_of(body[:PEEK_BYTES]), bounds)


def rows_of(table: TableFile, is_strict: bool = False) -> list[Any]:
    return list(table.rows(table.header, is_strict))


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_is_split_by_the_mark_of_its_header(tmp_path: Path, mark: str) -> None:
    body = f"a{mark}b\n1{mark}2\n\n3{mark}4\n".encode()
    table = opened(tmp_path, body)
    assert table.header == ["a", "b"]
    assert rows_of(table) == [["1", "2"], ["3", "4"]]
    assert table.share() == 1.0


def test_a_line_that_cannot_be_read_spoils_its_own_row_only(tmp_path: Path) -> None:
    long = b"x" * 70_000
    body = b'a,b\n1,2\n\xff,2\n1\n"1,2\n' + long + b"," + long + b"\n3,4\n"
    found = rows_of(opened(tmp_path, body))
    assert [isinstance(row, RowRefused) for row in found] == [False, True, True, True, True, False]
    assert found[-1] == ["3", "4"]


def test_gzip_is_inflated_a_line_at_a_time_and_bounded(tmp_path: Path) -> None:
    assert rows_of(opened(tmp_path, gzip.compress(b"a\n1\n"))) == [["1"]]
    bomb = gzip.compress(b"a\n" + b"0" * 9_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(Rejected) as error:
        rows_of(opened(tmp_path, bomb))
    assert error.value.code == "file_too_large"


def test_broken_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"a\n" + "\n".join(map(str, range(900))).encode())
    for body in (whole[:60], whole[:30] + b"\0" * 30, b"\x1f\x8b" + b"\xff" * 20):
        with pytest.raises(Rejected) as error:
            rows_of(opened(tmp_path, body))
        assert error.value.code == "unreadable"


def test_ndjson_has_the_fields_of_its_first_lines(tmp_path: Path) -> None:
    body = b'{"slot": "x", "steps": 1}\nnonsense\n[1]\n{"steps": 2, "more": {"a": 1}}\n'
    table = opened(tmp_path, body)
    assert table.header == ["slot", "steps", "more"]
    found = rows_of(table)
    assert found[0] == ["x", 1, None]
    assert isinstance(found[1], RowRefused)
    assert isinstance(found[2], RowRefused)


def test_a_late_field_is_refused_only_where_every_field_must_be_known(tmp_path: Path) -> None:
    body = b'{"a": 1}\n' * 1100 + b'{"b": 1}\n'
    bounds = Bounds(2000, 1_000_000)
    assert rows_of(opened(tmp_path, body, bounds))[-1] == [None]
    last = rows_of(opened(tmp_path, body, bounds), is_strict=True)[-1]
    assert isinstance(last, RowRefused)
    assert last.code == "unknown_field"


def test_deep_json_is_a_refused_row(tmp_path: Path) -> None:
    body = b'{"a": 1}\n{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}\n"
    assert isinstance(rows_of(opened(tmp_path, body))[1], RowRefused)


def test_parquet_gives_python_values(tmp_path: Path) -> None:
    at = pa.array([0, 900_000_000_000], pa.timestamp("ns", tz="UTC"))
    body = parquet(
        {"at": at, "n": [1, None], "w": pa.array(["a", "b"]).dictionary_encode(), "l": [[1], []]}
    )
    table = opened(tmp_path, body)
    assert table.header == ["at", "n", "w", "l"]
    first, second = list(table.rows(["w", "at", "n"], is_strict=False))
    assert first[1:] == [1, "a", None]
    assert (second[0] - first[0]).total_seconds() == 900
    with pytest.raises(Rejected) as error:
        list(table.rows(["l"], is_strict=False))
    assert error.value.extra == {"column": "l"}


def test_what_a_parquet_footer_claims_is_bounded(tmp_path: Path) -> None:
    cases = {
        "too_many_rows": parquet({"a": pa.array([0] * 1001)}),
        "too_many_columns": parquet({f"c{i}": [1] for i in range(501)}),
        "file_too_large": parquet({"a": ["x" * 2_000_000]}, use_dictionary=False),
    }
    for code, body in cases.items():
        with pytest.raises(Rejected) as error:
            opened(tmp_path, body)
        assert error.value.code == code


def test_a_parquet_that_is_cut_or_bent_is_refused(tmp_path: Path) -> None:
    whole = parquet({"a": list(range(500)), "b": ["x"] * 500})
    codes = []
    for at in range(4, len(whole), 97):
        for body in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            try:
                rows_of(opened(tmp_path, body))
            except Rejected as error:
                codes.append(error.code)
    assert len(codes) > 10
    assert set(codes) <= {"unreadable", "file_too_large", "too_many_rows", "bad_mapping"}


@pytest.mark.parametrize(
    "body",
    [b"\n", b"\0\0\0,\0\n1,2\n", b"\xff\xfea\0,\0b\0\n\0", b"\x89PNG\r\n\x1a\n", b"x" * 70_000],
    ids=["blank", "nul", "utf-16", "picture", "one long line"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(Rejected) as error:
        opened(tmp_path, body)
    assert error.value.code == "unreadable"


def test_rows_and_columns_are_counted(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as error:
        rows_of(opened(tmp_path, b"a\n" + b"1\n" * 1001))
    assert error.value.code == "too_many_rows"
    with pytest.raises(Rejected) as error:
        opened(tmp_path, ",".join(f"c{i}" for i in range(501)).encode() + b"\n1\n")
    assert error.value.code == "too_many_columns"


def test_the_kind_is_seen_from_the_first_bytes() -> None:
    assert format_of(b"PAR1....") == "parquet"
    assert format_of(b'\xef\xbb\xbf {"a": 1}') == "ndjson"
    assert format_of(gzip.compress(b'{"a": 1}\n')) == "ndjson"
    assert format_of(b"slot,steps\n") == "csv"
    header = b"auth_token,id,date,activeScore,marginalCalories,steps,heartData\n"
    assert format_of(header) == "legacy_daily"
    assert format_of(b"\x1f\x8b" + zlib.compress(b"no gzip")) == "csv"
