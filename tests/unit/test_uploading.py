"""An upload as API and pages show it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fitstream.errors import Rejected, Unavailable
from fitstream.gateway import uploading
from fitstream.repo import uploads
from fitstream.repo.uploads import Upload

_NO_DB: Any = None


def failed(error: str | None) -> Upload:
    """One whose job ended with these words."""
    return Upload(
        upload_no=1, id="upl_1", programme="p", programme_no=1, customer_no=1, customer="cus_1",
        created_by="", name="a.csv", format="csv", size=1, sha256="", object_key="", priority=10,
        phase="checking", state="failed", job_id="job_1", error=error, progress={},
        cancel_requested=False, mapping=None, mapping_version=None, spec=None, head={}, report={},
        result={}, sent=0, removed=0, devices=0, created_at=datetime(2026, 11, 23, tzinfo=UTC),
        checked_at=None, ingested_at=None, undone_at=None,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: object) -> None:
        return None

    monkeypatch.setattr(uploads, "same_file", none)


async def test_whoever_sent_a_file_is_told_of_an_outage_but_not_what_the_service_said() -> None:
    away = Unavailable("s3", "EndpointConnectionError: could not connect to http://10.0.0.7:9000")
    assert (await uploading.shown(_NO_DB, failed(str(away)))).error == "s3 is not available"


@pytest.mark.parametrize(
    "error", [None, str(Rejected("bad_format", "the file is no Parquet; send CSV"))]
)
async def test_what_is_wrong_with_the_file_is_told_whole(error: str | None) -> None:
    assert (await uploading.shown(_NO_DB, failed(error))).error == error
