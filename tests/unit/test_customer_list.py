"""Lists of customers: a verdict per row, bounds, and no cell that a spreadsheet computes."""

import pytest

from fitstream.errors import Rejected
from fitstream.gateway.customer_list import ROWS_MAX, read_list, write_row


def read(text: str) -> tuple[list[tuple[int, str | None]], dict[int, str]]:
    listed = read_list(text.encode(), "default", "UTC")
    good = [(wanted.line, wanted.new.external_id) for wanted in listed.wanted]
    return good, {verdict.line: verdict.message for verdict in listed.wrong}


def test_a_wrong_row_does_not_stop_its_neighbours() -> None:
    good, wrong = read(
        "external_id,email,name,zone,consents\n"
        "A,a@x.org,Ada,Europe/Berlin,training;sharing\n"
        ",,nobody,,\n"
        "B,no mail,,,\n"
        "C,,,Mars/Base,\n"
        "D,,,,everything\n"
        "A,,twice,,\n"
        f"E,,{'x' * 300},,\n"
        "F,,,,\n"
    )
    assert good == [(2, "A"), (9, "F")]
    assert sorted(wrong) == [3, 4, 5, 6, 7, 8]
    assert "already" in wrong[7]


def test_cells_become_fields_and_what_is_empty_is_absent() -> None:
    text = "\ufeffemail,consents\r\n a@x.org ,training\r\nb@x.org,\r\n"
    first, second = (wanted.new for wanted in read_list(text.encode(), "p", "Asia/Tokyo").wanted)
    assert (first.email, first.zone, first.programme) == ("a@x.org", "Asia/Tokyo", "p")
    assert (dict(first.consents), dict(second.consents)) == ({"training": True}, {})
    assert first.external_id is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "unknown_column"),
        (b"name\nAda\n", "unknown_column"),
        (b"external_id,password\nA,b\n", "unknown_column"),
        (b"external_id,external_id\nA,b\n", "unknown_column"),
        (b"external_id\n\xff\xfe\n", "unreadable"),
        (b"external_id\nA\0\n", "unreadable"),
        (b"external_id\n" + b"A\n" * (ROWS_MAX + 1), "too_many_rows"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(text: bytes, code: str) -> None:
    with pytest.raises(Rejected) as error:
        read_list(text, "default", "UTC")
    assert error.value.code == code


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_is_computed(cell: str) -> None:
    assert write_row(["a", cell]).startswith(("a,'", "a,\"'"))


def test_a_row_with_cells_that_no_column_is_for_is_wrong() -> None:
    good, wrong = read("external_id\nA,b\nB\n")
    assert good == [(3, "B")]
    assert list(wrong) == [2]
