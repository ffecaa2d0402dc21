"""The daily CSV of the predecessor is read as it was written, or refused with a reason."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import legacydaily
from fitstream.errors import Rejected
from fitstream.legacydaily import COLUMNS, HeartZone, parse, parse_java_date, read_java_text
from tests.factories import NOW

CHICAGO = "America/Chicago"
HEART = (
    "HeartRate{activitiesHeart=[ActivitiesHeart{dateTime=2020-08-12|value=Value{"
    "customHeartRateZones=[]|heartRateZones=[HeartRateZone{caloriesOut=1000.2|max=94|min=30|"
    "minutes=1200|name='OutofRange'}|HeartRateZone{caloriesOut=null|max=130|min=94|minutes=30|"
    "name='FatBurn'}]|restingHeartRate=61}}]}"
)


def row(**cells: str) -> dict[str, str]:
    base = dict.fromkeys(COLUMNS, "1") | {
        "auth_token": "fss_secret", "id": "218817", "date": "Wed Aug 12 14:03:22 CDT 2020",
        "activeScore": "-1", "heartData": HEART,
    }  # fmt: skip
    return base | cells


def text_of(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> bytes:
    lines = [",".join(columns), *(",".join(found[name] for name in columns) for found in rows)]
    return "\n".join(lines).encode()


def only(**cells: str) -> Any:
    parsed = parse(text_of(row(**cells)), CHICAGO, NOW, 10)
    assert parsed.rejected == []
    (summary,) = parsed.summaries
    return summary


def code_of(**cells: str) -> str:
    parsed = parse(text_of(row(**cells)), CHICAGO, NOW, 10)
    assert parsed.summaries == []
    return parsed.rejected[0].code


def test_a_row_is_read_whole() -> None:
    summary = only(steps="8123", caloriesOut="2100.5")
    assert summary.day == date(2020, 8, 12)
    assert summary.recorded_at == datetime(2020, 8, 12, 19, 3, 22, tzinfo=UTC)
    assert (summary.steps, summary.out_kcal, summary.active_score) == (8123, 2100.5, None)
    assert summary.resting_heart_rate_bpm == 61
    assert summary.heart_zones == [
        HeartZone("OutofRange", 1200, 30, 94, 1000.2), HeartZone("FatBurn", 30, 94, 130, None),
    ]  # fmt: skip


def test_the_token_is_handed_out_and_is_no_part_of_the_summary() -> None:
    parsed = parse(text_of(row()), CHICAGO, NOW, 10)
    assert parsed.tokens == ["fss_secret"]
    assert "secret" not in repr(parsed.summaries)
    assert "218817" not in repr(parsed.summaries)


def test_the_token_of_a_refused_row_is_handed_out_too() -> None:
    parsed = parse(text_of(row(steps="many")), CHICAGO, NOW, 10)
    assert (parsed.tokens, parsed.summaries) == (["fss_secret"], [])


@pytest.mark.parametrize("cell", ["", "null"])
def test_what_was_not_said_is_absent_and_never_zero(cell: str) -> None:
    summary = only(steps=cell, heartData=cell)
    assert (summary.steps, summary.resting_heart_rate_bpm, summary.heart_zones) == (None, None, [])


@pytest.mark.parametrize(
    ("zone", "text", "hour"),
    [
        (CHICAGO, "Wed Aug 12 14:03:22 CDT 2020", 19),
        (CHICAGO, "Wed Jan 01 14:03:22 CST 2020", 20),
        (CHICAGO, "Wed Aug 12 14:03:22 CST 2020", 20),  # a phone that knows no summer time
        ("Asia/Shanghai", "Wed Aug 12 14:03:22 CST 2020", 6),
        ("Asia/Kolkata", "Wed Aug 12 14:33:22 IST 2020", 9),  # codespell:ignore ist
        ("Asia/Jerusalem", "Wed Jan 01 14:03:22 IST 2020", 12),  # codespell:ignore ist
        ("Europe/Berlin", "Wed Aug 12 14:03:22 PDT 2020", 21),
        ("Europe/Berlin", "Wed Aug 12 14:33:22 GMT+05:30 2020", 9),
        ("Europe/Berlin", "Wed Aug 12 14:03:22 GMT 2020", 14),
        ("Europe/Berlin", "Wed Aug 12 14:03:22 XYZ 2020", 12),
    ],
)
def test_an_abbreviation_means_what_it_means_where_the_customer_lives(
    zone: str, text: str, hour: int
) -> None:
    day, instant = parse_java_date(text, zone)
    assert instant.hour == hour
    assert day.month in (1, 8)  # the day on the phone's wall, wherever it was


@pytest.mark.parametrize(
    "text",
    ["", "2020-08-12", "Wed Aug 12 14:03:22 2020", "Wed Foo 12 14:03:22 CDT 2020",
     "Wed Aug 32 14:03:22 CDT 2020", "Wed Aug 12 25:03:22 CDT 2020",
     "Wed Aug 12 14:03:22 CDT 0000"],
)  # fmt: skip
def test_any_other_date_is_refused(text: str) -> None:
    assert code_of(date=text) == "wrong_type"


def test_days_that_cannot_be_are_refused() -> None:
    assert code_of(date="Wed Aug 12 14:03:22 CDT 2099") == "future_day"
    assert code_of(date="Wed Aug 12 14:03:22 CDT 1970") == "too_old"


@pytest.mark.parametrize(
    ("name", "cell", "code"),
    [
        ("steps", "many", "wrong_type"),
        ("steps", "1.5", "wrong_type"),
        ("steps", "-1", "out_of_range"),
        ("steps", "9999999", "out_of_range"),
        ("caloriesOut", "inf", "out_of_range"),
        ("caloriesOut", "nan", "out_of_range"),
        ("sedentaryMinutes", "1441", "out_of_range"),
    ],
)
def test_a_value_that_cannot_be_refuses_its_row(name: str, cell: str, code: str) -> None:
    assert code_of(**{name: cell}) == code


def test_one_bad_row_never_rejects_its_neighbours() -> None:
    parsed = parse(text_of(row(), row(steps="x"), row(steps="3")), CHICAGO, NOW, 10)
    assert len(parsed.summaries) == 2
    assert [verdict.index for verdict in parsed.rejected] == [1]


@pytest.mark.parametrize(
    "heart", ["HeartRate{", "HeartRate{activitiesHeart=[}", "[", "x", "A{b=[" * 9, "HeartRate{a=1}"]
)
def test_heart_rates_that_cannot_be_read_are_left_out_with_a_note(heart: str) -> None:
    parsed = parse(text_of(row(heartData=heart)), CHICAGO, NOW, 10)
    assert len(parsed.summaries) == 1
    assert parsed.rejected[0].code == "heart_unreadable"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b"date,steps,nose\n1,2,3", "unknown_field"),
        (b"steps\n1", "missing_field"),
        (b"date,date\n1,2", "missing_field"),
        (b"date,steps", "missing_field"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(body: bytes, code: str) -> None:
    with pytest.raises(Rejected) as error:
        parse(body, CHICAGO, NOW, 10)
    assert error.value.code == code


def test_a_file_has_a_bounded_number_of_rows() -> None:
    with pytest.raises(Rejected) as error:
        parse(text_of(*[row()] * 11), CHICAGO, NOW, 10)
    assert error.value.code == "too_many_rows"


def test_the_header_is_known_in_any_order() -> None:
    assert legacydaily.is_daily_header(list(reversed(COLUMNS)))
    assert not legacydaily.is_daily_header(COLUMNS[:-1])


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    try:
        parse(b"date,heartData\n" + body, CHICAGO, NOW, 100)
    except Rejected:
        return


@given(st.text(alphabet="A{}[]|='a1", max_size=60))
def test_no_heart_text_does_more_than_be_refused(text: str) -> None:
    try:
        read_java_text(text)
    except ValueError:
        return
