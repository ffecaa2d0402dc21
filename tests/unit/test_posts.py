"""Bodies of posts: JSON and CSV say the same, and one bad row never rejects its neighbours."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import samples
from fitstream.clock import slot_start
from fitstream.errors import Rejected
from fitstream.posts import decode_csv, decode_json
from fitstream.samples import Checked, Decoded
from tests.factories import (
    NOW,
    SLOT,
    envelope,
    post_csv,
    post_json,
    post_raw,
    post_row,
    slot_text,
)

WINDOW = samples.window(NOW, 400)
GOOD = json.dumps(post_row(SLOT))
LAST = json.dumps(post_row(SLOT + 1, steps=7))


def codes(decoded: Decoded) -> list[tuple[int, str]]:
    return [(verdict.index, verdict.code) for verdict in decoded.rejected]


def from_csv(*lines: str, rows_max: int = 2000) -> Decoded:
    return decode_csv("\n".join(lines).encode(), envelope(), rows_max)


def judged(decoded: Decoded) -> Checked:
    return samples.check(decoded, WINDOW)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("null", "wrong_type"),
        ("7", "wrong_type"),
        ("[]", "wrong_type"),
        ("{}", "missing_field"),
        ('{"steps": 1}', "missing_field"),
        (f'{{"slot": "{slot_text()}", "stepz": 1}}', "unknown_field"),
        (f'{{"slot": "{slot_text()}", "steps": "5"}}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "steps": 1.5}}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "steps": true}}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "steps": {{"deep": [[[1]]]}}}}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "steps": -1}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "steps": 6001}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "steps": {"9" * 400}}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "steps": 1e999}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "distance_m": -1e999}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "distance_m": {"9" * 400}}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "heart_rate_bpm": 19.9}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "light_min": 15.1}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "tz_offset_min": 841}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "rev": -1}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "rev": {2**31}}}', "out_of_range"),
        (f'{{"slot": "{slot_text()}", "deleted": 1}}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "distance_m": NaN}}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "distance_m": Infinity}}', "wrong_type"),
        ('{"slot": "\\ud800", "steps": 1}', "wrong_type"),
        (f'{{"slot": "{slot_text()}", "\\udfff": 1}}', "wrong_type"),
        ('{"slot": 1763900000, "steps": 1}', "wrong_type"),
        (f'{{"slot": "{"x" * 41}", "steps": 1}}', "wrong_type"),
        ('{"slot": {"slot": {}}}', "wrong_type"),
    ],
)
def test_an_unreadable_row_is_named_and_its_neighbours_stay(row: str, code: str) -> None:
    decoded = decode_json(post_raw(GOOD, row, LAST), 2000)
    assert codes(decoded) == [(1, code)]
    assert list(decoded.indexes) == [0, 2]
    assert judged(decoded).columns.slot == [SLOT, SLOT + 1]


@pytest.mark.parametrize("slot", ["", "nonsense", "2026-11-23T11:00:00", "2026-11-23", "a\\u0000b"])
def test_a_slot_that_is_no_instant_is_refused_when_it_is_judged(slot: str) -> None:
    checked = judged(decode_json(post_raw(GOOD, f'{{"slot": "{slot}"}}', LAST), 2000))
    assert [(v.index, v.code, v.slot) for v in checked.rejected] == [(1, "wrong_type", None)]
    assert checked.accepted == 2


def test_a_byte_that_is_no_utf8_spoils_its_row_only() -> None:
    body = post_raw(GOOD, '{"slot": "XY"}', LAST).replace(b"XY", b"\xff\xed")
    assert codes(decode_json(body, 2000)) == [(1, "wrong_type")]


def test_a_refused_row_keeps_its_slot_for_the_weeks_picture() -> None:
    row = json.dumps(post_row(SLOT + 3, steps=-5))
    assert decode_json(post_raw(row), 2000).rejected[0].slot == SLOT + 3
    assert from_csv("slot,steps", f"{slot_text(SLOT + 3)},-5").rejected[0].slot == SLOT + 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "unreadable"),
        (b"null", "unreadable"),
        (b"[]", "unreadable"),
        (b"{", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (post_raw("[" * 50_000 + "]" * 50_000), "unreadable"),
        (post_raw(GOOD)[:-1], "unreadable"),
        (post_raw(GOOD) + b"x", "unreadable"),
        (json.dumps(envelope()).encode(), "missing_field"),
        (b'{"samples": []}', "missing_field"),
        (post_json([], device_id=""), "unreadable"),
        (post_json([], device_id="a\0b"), "unreadable"),
        (post_json([], device_id="\ud800"), "unreadable"),
        (post_json([], app_version="\ud800"), "unreadable"),
        (post_json([], device_id="x" * 257), "unreadable"),
        (post_json([], sent_at="2026-11-23T08:15:00"), "unreadable"),
        (post_json([], sent_at=5), "unreadable"),
        (post_json([], more=1), "unknown_field"),
        (json.dumps({**envelope(), "samples": {}}).encode(), "unreadable"),
        (json.dumps({**envelope(), "samples": None}).encode(), "unreadable"),
    ],
)
def test_a_post_whose_envelope_cannot_be_read_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Rejected) as error:
        decode_json(body, 2000)
    assert (error.value.code, error.value.status) == (code, 400)


@given(st.binary(max_size=80))
def test_noise_is_refused_and_never_a_bug(body: bytes) -> None:
    with pytest.raises(Rejected):
        decode_json(body, 2000)
    with pytest.raises(Rejected):
        decode_csv(body, envelope(), 2000)


def test_more_rows_than_allowed_are_refused_whole() -> None:
    rows = [post_row(SLOT + i) for i in range(3)]
    for decode in (
        lambda most: decode_json(post_json(rows), most),
        lambda most: decode_json(post_json([*rows[:2], {}]), most),
        lambda most: decode_csv(post_csv(rows), envelope(), most),
    ):
        assert len(decode(3).rows) + len(decode(3).rejected) == 3
        with pytest.raises(Rejected) as error:
            decode(2)
        assert (error.value.code, error.value.status) == ("too_many_rows", 413)


def test_a_heartbeat_has_no_rows() -> None:
    decoded = decode_json(post_json([], complete_through=slot_text(SLOT)), 2000)
    assert decoded.rows == []
    assert decoded.envelope.complete_through == slot_start(SLOT)
    assert judged(decoded) == (samples.SampleColumns(slot=[]), 0, [])


metrics = st.fixed_dictionaries(
    {},
    optional={
        "tz_offset_min": st.integers(-840, 840),
        "rev": st.integers(0, 2**31 - 1),
        "deleted": st.booleans(),
        "steps": st.integers(0, 6000),
        "distance_m": st.floats(0, 20_000),
        "calories_kcal": st.floats(0, 2000),
        "heart_rate_bpm": st.floats(20, 260),
        "heart_rate_min_bpm": st.floats(20, 260),
        "light_min": st.floats(0, 15),
        "sedentary_min": st.floats(0, 15),
        "floors": st.integers(0, 200),
    },
)


@given(st.lists(metrics, max_size=4))
def test_json_and_csv_of_the_same_rows_give_the_same_columns(rows: list[dict[str, Any]]) -> None:
    made = [{"slot": slot_text(SLOT + i), **row} for i, row in enumerate(rows)]
    assert judged(decode_json(post_json(made), 2000)) == judged(
        decode_csv(post_csv(made), envelope(), 2000)
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("nonsense,1,2", "wrong_type"),
        (f"{slot_text()},1", "wrong_type"),
        (f"{slot_text()}", "wrong_type"),
        (f"{slot_text()},1,2,3", "wrong_type"),
        (f"{slot_text()},five,2", "wrong_type"),
        (f"{slot_text()},1.5,2", "wrong_type"),
        (f"{slot_text()},nan,2", "wrong_type"),
        (f"{slot_text()},1,nan", "out_of_range"),
        (f"{slot_text()},1,inf", "out_of_range"),
        (f"{slot_text()},1,1e999", "out_of_range"),
        (f"{slot_text()},{'9' * 400},2", "out_of_range"),
        (f"{slot_text()},-1,2", "out_of_range"),
        (",1,2", "missing_field"),
        (f'"{slot_text()}"x,1,2', "wrong_type"),
        (f'"{slot_text()},1,2', "wrong_type"),
        (f'{slot_text()},"1,2', "wrong_type"),
        (f"{slot_text()},1\0,2", "wrong_type"),
        ("\0", "wrong_type"),
        ("x" * 200_000, "wrong_type"),
    ],
)
def test_an_unreadable_line_is_named_and_its_neighbours_stay(line: str, code: str) -> None:
    decoded = from_csv(
        "slot,steps,distance_m", f"{slot_text(SLOT)},1,2", line, f'"{slot_text(SLOT + 1)}",3,4'
    )
    checked = judged(decoded)
    assert [(verdict.index, verdict.code) for verdict in checked.rejected] == [(1, code)]
    assert checked.columns.slot == [SLOT, SLOT + 1]
    assert checked.columns.steps == [1, 3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_blank_lines_spaces_and_a_byte_order_mark_are_read(end: str) -> None:
    text = f"\ufeffslot , steps{end}{end}{slot_text()} , 5 {end}{end}"
    decoded = decode_csv(text.encode(), envelope(), 2000)
    assert [(row.slot, row.steps) for row in decoded.rows] == [(slot_text(), 5)]


def test_an_empty_cell_was_not_measured_and_a_zero_was() -> None:
    decoded = from_csv("slot,steps,floors", f"{slot_text()},,0")
    assert (decoded.rows[0].steps, decoded.rows[0].floors) == (None, 0)


@pytest.mark.parametrize(
    ("header", "code", "status"),
    [
        ("steps", "missing_field", 422),
        ("slot,steps,steps", "missing_field", 422),
        ("slot,stepz", "unknown_field", 422),
        ("slot,", "unknown_field", 422),
        ("slot,Steps", "unknown_field", 422),
        ("slot,device_id", "unknown_field", 422),
        ('"slot', "unknown_field", 422),
        ("x" * 300_000, "unknown_field", 422),
    ],
)
def test_a_header_that_is_wrong_refuses_the_post(header: str, code: str, status: int) -> None:
    with pytest.raises(Rejected) as error:
        from_csv(header, f"{slot_text()},1")
    assert (error.value.code, error.value.status) == (code, status)
    assert len(error.value.message) < 500


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "missing_field"),
        ({"device_id": "dev_1"}, "missing_field"),
        ({"device_id": "dev_1", "sent_at": "today"}, "unreadable"),
        ({"device_id": "", "sent_at": NOW.isoformat()}, "unreadable"),
    ],
)
def test_a_csv_post_needs_its_envelope_in_the_query(query: dict[str, str], code: str) -> None:
    with pytest.raises(Rejected) as error:
        decode_csv(post_csv([post_row()]), query, 2000)
    assert error.value.code == code


@pytest.mark.parametrize("body", [b"", b" \n \n", b"slot,steps\n\xff\xfe,1"])
def test_a_body_without_a_header_or_with_bytes_that_are_no_utf8_is_no_csv(body: bytes) -> None:
    with pytest.raises(Rejected) as error:
        decode_csv(body, envelope(), 2000)
    assert error.value.code == "unreadable"
