"""A record's rows against the ledger's, a file's lines as claims, and names in the archive."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.archived import archive_key, archive_prefix, archive_span
from fitstream.ids import new_batch_id
from fitstream.operations.applied import State, judged
from fitstream.operations.receipts import ReceiptsReport, read_claim
from fitstream.receipts import Signer
from tests.factories import KEY, OLD_KEY, ledger_row, version

SIGNER = Signer([base64.b64decode(KEY)])
CLAIM: dict[str, object] = {
    "batch_id": "b",
    "device_id": "dev_1",
    "generation": 1,
    "partition": 2,
    "offset": 3,
    "accepted": 4,
    "content_sha": "c",
    "server_time": "2026-11-24T00:00:00Z",
}


def claim(**changed: object) -> bytes:
    return msgspec.json.encode(CLAIM | changed)


@pytest.mark.parametrize(
    ("held_rev", "rev", "state"), [(1, 1, "current"), (2, 1, "superseded"), (0, 1, "missing")]
)
def test_a_row_is_held_replaced_or_missing(held_rev: int, rev: int, state: State) -> None:
    held = ledger_row(slot=5, rev=held_rev, steps=7)
    (verdict,) = judged([(5, version(rev, 60, steps=7))], {5: held}, "missing")
    assert (verdict.slot, verdict.state, verdict.held) == (5, state, held)


@pytest.mark.parametrize("lacking", ["missing", "waiting", "parked"])
def test_a_row_that_nothing_is_held_for_is_what_the_caller_says(lacking: State) -> None:
    assert judged([(5, version())], {}, lacking)[0].state == lacking


def test_a_line_may_be_a_receipt_signed_or_not_or_the_signature_alone() -> None:
    report = ReceiptsReport()
    jws = SIGNER.sign(claim())
    lines = [claim(), claim(receipt_jws=jws.decode()), jws]
    found = [read_claim(line, "line", SIGNER.public, report) for line in lines]
    assert found[0] is not None
    assert found[0] == found[1] == found[2]
    assert (report.unsigned, report.signed, report.is_clean) == (1, 2, True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (claim(receipt_jws=SIGNER.sign(claim()).decode(), accepted=5), "says something else"),
        (SIGNER.sign(b'{"batch_id": "b"}'), "not a receipt"),
        (Signer([base64.b64decode(OLD_KEY)]).sign(claim()), "unknown_key"),
        (SIGNER.sign(claim())[:-2], "bad_signature"),
        (claim(offset=2**48), "not a receipt"),
        (claim(offset=-1), "not a receipt"),
        (claim(generation=2**16), "not a receipt"),
        (b"{", "not a receipt"),
        (b"\xff", "not a receipt"),
        (b'"text"', "unreadable"),
    ],
)
def test_a_wrong_line_is_a_difference(line: bytes, told: str) -> None:
    report = ReceiptsReport()
    read_claim(line, "line 7", SIGNER.public, report)
    assert not report.is_clean
    assert "line 7" in report.shown[0]
    assert told in report.shown[0]


def test_only_the_first_differences_are_named_but_all_are_counted() -> None:
    report = ReceiptsReport()
    for number in range(250):
        report.differs(str(number))
    assert report.lines()[-1] == "differences: 250"
    assert report.lines()[-2] == "… and 150 more"
    assert ReceiptsReport().shown == []


@given(
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    st.tuples(st.integers(0, 2**48), st.integers(0, 2**48)),
)
def test_an_archived_objects_name_tells_its_place(
    generation: int, partition: int, offsets: tuple[int, int]
) -> None:
    key = archive_key("t", generation, partition, offsets)
    assert key.startswith(archive_prefix("t", generation, partition))
    assert archive_span(key) == offsets
    assert archive_span(key + ".tmp") is None


def test_batch_ids_differ_and_sort_by_time() -> None:
    ids = [new_batch_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert [made[:12] for made in ids] == sorted(made[:12] for made in ids)
    assert {len(made) for made in ids} == {24}
