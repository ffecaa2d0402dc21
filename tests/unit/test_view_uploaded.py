"""Uploads in words: the sentence, the next step, and the steps from file to ledger."""

from typing import Any

import msgspec
import pytest

from fitstream.client.uploads import CheckReport, SentRows, Upload, UploadProblem, UploadRow
from fitstream.gateway.view.uploaded import (
    outcomes_of,
    row_views,
    size_of,
    steps_of,
    upload_view,
)
from tests.factories import NOW

REPORT = CheckReport(
    rows=10, outcomes={"rejected": 2, "new": 8}, codes={}, customers=1, by_customer={}
)


def upload(state: str = "checked", **fields: Any) -> Upload:
    """An upload of ten rows, two of them refused."""
    phase = fields.pop("phase", state)
    base: dict[str, Any] = {
        name: None for name in Upload.__struct_fields__ if name not in ("kinds", "columns")
    }
    base |= {
        "id": "upl_1", "programme": "default", "name": "day.csv", "format": "csv", "size": 2048,
        "sha256": "ab", "priority": 1000, "progress": {}, "is_stopping": False, "removed": 0,
        "devices": 1, "columns": ["slot", "steps"], "kinds": ["text", "text"], "created_at": NOW,
    }  # fmt: skip
    return Upload(**base | {"state": state, "phase": phase, "report": REPORT} | fields)


@pytest.mark.parametrize(
    ("given", "step", "said"),
    [
        (upload(), "ingest", "8 rows can come in"),
        (upload("unmapped", report=None), "map", "Nobody has said"),
        (
            upload("unmapped", problem=UploadProblem("b", "column 'b': no")),
            "map",
            "Column 'b': no.",
        ),
        (
            upload("failed", phase="checking", error="no table"),
            "again",
            "The check failed: no table",
        ),
        (upload("cancelled", phase="ingesting"), "again", "The ingestion stopped because"),
        (upload("ingesting", progress={"rows": 4, "of": 8}), "", "4 rows acknowledged"),
        (upload("ingesting", is_stopping=True), "", "Asked to stop"),
        (upload("ingested", sent=SentRows(accepted=8, is_in_ledger=True)), "", "are in the ledger"),
        (
            upload("ingested", sent=SentRows(accepted=8)),
            "",
            "they appear in the ledger within seconds",
        ),
        (upload("ingested", sent=SentRows()), "", "nothing came in"),
        (upload("undone", removed=8), "", "8 rows left the ledger"),
        (upload("deleted", name=""), "", "Its file was removed"),
    ],
)
def test_a_person_is_told_how_it_stands_and_what_to_do(given: Upload, step: str, said: str) -> None:
    view = upload_view(given)
    assert view.next == step
    assert said in view.said
    assert len(steps_of(given)) == 4


def test_what_brought_rows_can_be_undone_and_only_else_removed() -> None:
    assert upload_view(upload("ingested")).can_undo
    assert upload_view(upload("failed", phase="ingesting")).can_undo
    assert not upload_view(upload("failed", phase="ingesting")).can_remove
    assert not upload_view(upload("failed", phase="checking")).can_undo
    assert upload_view(upload("failed", phase="checking")).can_remove
    assert not upload_view(upload("checked", format="legacy_daily")).can_map


def test_progress_is_that_of_the_phase() -> None:
    assert upload_view(upload("ingesting", progress={"rows": 4, "of": 8})).share == 50
    assert upload_view(upload("checking", progress={"done": 30, "of": 100})).share == 30
    assert upload_view(upload("undoing", progress={"customers": 1, "of": 2})).share == 50
    assert upload_view(upload(progress={"rows": 4, "of": 8})).share is None


def test_outcomes_keep_their_order_and_lead_to_their_rows() -> None:
    found = outcomes_of(upload(), "/here")
    assert [(each.outcome, each.rows) for each in found] == [("new", 8), ("rejected", 2)]
    assert found[1].href == "/here?outcome=rejected#rows"
    assert outcomes_of(upload(report=None), "/here") == []


def test_a_row_says_why_and_what_would_change() -> None:
    row = UploadRow(
        index=0, outcome="supersedes", customer_id=None, slot=NOW, code=None,
        message="steps: too many", changes={"steps": (None, 9)},
    )  # fmt: skip
    (view,) = row_views([row])
    assert (view.line, view.why, view.changes) == (1, "Steps: too many.", ["Steps – → 9"])


def test_sizes_are_short() -> None:
    assert [size_of(size) for size in (5, 2048, 3_500_000)] == ["5 B", "2 KiB", "3.3 MiB"]
    assert msgspec.json.decode(msgspec.json.encode(upload()), type=Upload) == upload()
