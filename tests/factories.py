"""Data for tests: every field has a default, a test names only what it is about."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fitstream.broker import Record
from fitstream.clock import slot_of, slot_start
from fitstream.combined import LedgerRow
from fitstream.events import SampleBatch, SampleColumns, encode
from fitstream.merge import METRICS, NAMES, Row, Values, make_row
from fitstream.repo.models import PinnedWeek

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday, 2026-W48
SLOT = slot_of(NOW) - 4
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="  # base64 of 32 bytes
OLD_KEY = "b29vb29vb29vb29vb29vb29vb29vb29vb29vb29vb28="
SETTINGS = {
    "FITSTREAM_KAFKA": "127.0.0.1:9092",
    "FITSTREAM_POSTGRES": "postgresql://u:hidden@127.0.0.1/db",
    "FITSTREAM_REDIS": "redis://:hidden@127.0.0.1/0",
    "FITSTREAM_SECRET_KEY": KEY,
}


def values(**measured: int) -> Values:
    """Scaled values in the order of METRICS; what is not named was not measured."""
    unknown = set(measured) - set(NAMES)
    assert not unknown, unknown
    return tuple(measured.get(name) for name in NAMES)


def version(rev: int = 0, tz_offset_min: int = 0, deleted: bool = False, **measured: int) -> Row:
    """One version of a sample; measured metrics are scaled integers."""
    return make_row(values(**measured), tz_offset_min, rev, deleted)


def ledger_row(
    slot: int = SLOT,
    device: int = 1,
    priority: int = 10,
    rev: int = 0,
    deleted: bool = False,
    **measured: int,
) -> LedgerRow:
    """A row of the ledger; steps=100 unless metrics are named."""
    made = version(rev, 60, deleted, **(measured or {"steps": 100}))
    return LedgerRow(
        slot=slot,
        device_no=device,
        device_id=f"dev_{device}",
        priority=priority,
        tz_offset_min=made.tz_offset_min,
        rev=made.rev,
        tie=made.tie,
        received_s=int(NOW.timestamp()),
        src=7,
        **dict(zip(NAMES, made.values, strict=True)),
    )


def blank_row(slot: int = SLOT, device: int = 1, priority: int = 10) -> LedgerRow:
    """A row without any metric: the device was not worn."""
    made = version()
    return LedgerRow(
        slot, device, f"dev_{device}", priority, 60, 0, made.tie, int(NOW.timestamp()), 7,
        *made.values,
    )  # fmt: skip


def sample_batch(**fields: Any) -> SampleBatch:
    """An accepted post of one device with two rows."""
    columns = SampleColumns(slot=[SLOT, SLOT + 1], steps=[100, None], heart_rate_bpm=[None, 655])
    base: dict[str, Any] = {
        "batch_id": "batch-1",
        "customer_id": "cus_1",
        "device_id": "dev_1",
        "received_at": int(NOW.timestamp() * 1000),
        "columns": columns,
    }
    return SampleBatch(**base | fields)


def record(offset: int = 0, value: bytes | None = None, **fields: Any) -> Record:
    """A record of the sample topic."""
    base: dict[str, Any] = {
        "topic": "samples.v1",
        "partition": 0,
        "offset": offset,
        "key": b"cus_1",
        "value": encode(sample_batch()) if value is None else value,
        "headers": {"batch_id": f"batch-{offset}".encode()},
        "timestamp_ms": int(NOW.timestamp() * 1000),
    }
    return Record(**base | fields)


def slot_text(slot: int = SLOT) -> str:
    """A slot as a device writes it."""
    return slot_start(slot).strftime("%Y-%m-%dT%H:%M:%SZ")


def post_row(slot: int = SLOT, **fields: Any) -> dict[str, Any]:
    """A row of a post; steps=100 unless fields are named."""
    return {"slot": slot_text(slot), **(fields or {"steps": 100})}


def envelope(**fields: Any) -> dict[str, Any]:
    """What a post says beside its rows."""
    return {"device_id": "dev_1", "sent_at": NOW.isoformat()} | fields


def post_json(rows: Sequence[Any], **fields: Any) -> bytes:
    """A JSON post."""
    return json.dumps({**envelope(**fields), "samples": list(rows)}).encode()


def post_raw(*rows: str) -> bytes:
    """A JSON post whose rows are JSON texts, perhaps broken ones."""
    return f'{json.dumps(envelope())[:-1]}, "samples": [{",".join(rows)}]}}'.encode()


def post_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The same rows as CSV; absent metrics are empty cells."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["slot"]
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return sink.getvalue().encode()


def pinned_week(**fields: Any) -> PinnedWeek:
    """One version of a finished week."""
    base: dict[str, Any] = {
        "customer_no": 1,
        "customer_id": "cus_1",
        "week": "2026-W47",
        "version": 1,
        "content_sha": "ab" * 32,
        "files": [{"kind": "week", "key": "users/cus_1/weeks/2026-W47/v0001.parquet"}],
    }
    return PinnedWeek(**base | fields)


def day_entry(**fields: Any) -> dict[str, Any]:
    """A day as `combined.days` gives it: worn all day."""
    base = {"day": "2026-11-16", "steps": 8000, "moderate_min": 22, "measured": 96, "slots": 96}
    return {**base, "worn": True, **fields}


def later(**span: float) -> datetime:
    """NOW and a little."""
    return NOW + timedelta(**span)


def scaled(name: str, value: float) -> int:
    """A metric's value as it is stored."""
    return round(value * next(metric.scale for metric in METRICS if metric.name == name))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
