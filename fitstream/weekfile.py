"""A week as bytes: canonical hash, Parquet file, originals, and both read again.

Pure: the same rows and bounds give the same hash on every machine; the files' bytes are the same
on one version of pyarrow only, which is why the hash is of the rows.
"""

import io
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray

from fitstream import combined
from fitstream.clock import SLOT_S, local_time
from fitstream.combined import LedgerRow, Slot, columns_of, combine
from fitstream.merge import LEAST_TOMBSTONE, METRICS, NAMES

SCHEMA_VERSION = 1
STATES = ("measured", "not_worn", "not_sent")
_SECONDS, _SECONDS_UTC = pa.timestamp("s"), pa.timestamp("s", tz="UTC")
_WEEK_COLUMNS = (
    "customer_id", "slot", "start", "local", "state", "device_id", "rev", *NAMES,
)  # fmt: skip
_ORIGINAL_COLUMNS = (
    "slot", "device_id", "priority", "tz_offset_min", "rev", "tie", "received_s", "src",
)  # fmt: skip


class WeekContent(NamedTuple):
    """Everything a version of a week is made of."""

    customer_id: str
    week: str
    start_slot: int
    end_slot: int
    zone: str
    rows: Sequence[LedgerRow]
    slots: Sequence[Slot]


def week_content(
    customer_id: str, bounds: tuple[str, int, int], zone: str, rows: Sequence[LedgerRow]
) -> WeekContent:
    """The content of a week from its ledger rows (by slot, best device first)."""
    return WeekContent(customer_id, *bounds, zone, rows, combine(rows))


def content_sha(content: WeekContent) -> str:
    """SHA-256 of the canonical rows, tombstones too, the bounds and the priorities."""
    rows = columns_of(content.rows)
    priorities = sorted(set(zip(rows.device_id, rows.priority, strict=True)))
    digest = sha256(
        msgspec.msgpack.encode(
            ("week.v1", content.start_slot, content.end_slot, content.zone, priorities)
        )
    )
    deleted = [tie >= LEAST_TOMBSTONE for tie in rows.tie]
    place_first = (rows.slot, rows.device_id, rows.tz_offset_min, rows.rev, deleted)
    canonical = sorted(zip(*place_first, *rows.metrics, strict=True))  # no two have one place
    encode = msgspec.msgpack.Encoder().encode
    digest.update(b"".join(map(encode, canonical)))
    return digest.hexdigest()


def short_sha(body: bytes) -> str:
    """First twelve digits of the SHA-256 of an object's bytes, as its name carries them."""
    return sha256(body).hexdigest()[:12]


def is_sound(file: dict[str, Any], body: bytes) -> bool:
    """Whether these are the bytes that a version's entry speaks of, by SHA-256."""
    digest = sha256(body).hexdigest()
    if "sha256" in file:
        return bool(digest == file["sha256"])
    return f"-{digest[:12]}" in file["key"]  # manifests of the first versions have their name only


def measured(content: WeekContent) -> int:
    """Slots in which any metric was measured."""
    return combined.measured(content.slots)


def encode_week(content: WeekContent) -> bytes:
    """Parquet with a row for every slot of the week, metrics in the units of the contract.

    `state` is measured, not_worn or not_sent.
    """
    count = content.end_slot - content.start_slot
    numbers = np.arange(content.start_slot, content.end_slot, dtype=np.int32)
    at = np.array([slot.slot for slot in content.slots], np.int64) - content.start_slot
    sent, rev = np.zeros(count, np.bool_), np.zeros(count, np.int32)
    sent[at] = True
    rev[at] = [slot.rev for slot in content.slots]
    values = _by_metric(content.slots, at, count)
    state = np.where(sent, np.where(np.isnan(values).all(axis=0), 1, 0), 2)
    arrays = [
        _text(np.zeros(count, np.int32), [content.customer_id]),
        pa.array(numbers),
        pa.array(numbers * np.int64(SLOT_S)).view(_SECONDS_UTC),
        pa.array(_local_s(content.start_slot, content.end_slot, content.zone)).view(_SECONDS),
        _text(state.astype(np.int32), STATES),
        _devices(content.slots, at, sent),
        pa.array(rev, mask=~sent),
        *(_metric(row, metric.scale) for row, metric in zip(values, METRICS, strict=True)),
    ]
    return _parquet(pa.Table.from_arrays(arrays, _WEEK_COLUMNS))


def _by_metric(slots: Sequence[Slot], at: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Scaled values, a row for each metric, NaN where it was not measured."""
    values = np.full((len(METRICS), count), np.nan)
    if slots:
        turned = list(zip(*(slot.values for slot in slots), strict=True))
        values[:, at] = np.array(turned, np.float64)  # None: NaN
    return values


def _devices(slots: Sequence[Slot], at: NDArray[np.int64], sent: NDArray[np.bool_]) -> Any:
    """The device of each slot that was sent; most weeks have one."""
    names = dict.fromkeys(slot.device_id for slot in slots)
    number_of = {name: number for number, name in enumerate(names)}
    codes = np.zeros(len(sent), np.int32)
    codes[at] = [number_of[slot.device_id] for slot in slots]
    words = pa.array(list(names), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=~sent), words)


def encode_originals(rows: Sequence[LedgerRow]) -> bytes:
    """Parquet of the ledger's rows as they are, scaled integers and tombstones included."""
    columns = {name: [getattr(row, name) for row in rows] for name in _ORIGINAL_COLUMNS}
    columns["deleted"] = [row.row.deleted for row in rows]
    metrics = {name: pa.array([getattr(row, name) for row in rows], pa.int32()) for name in NAMES}
    return _parquet(pa.table(columns | metrics))


def needs_originals(content: WeekContent) -> bool:
    """Whether a slot has more than one row, or a tombstone: the week file alone would lose it."""
    return len(content.slots) != len(content.rows)


def decode_week(body: bytes) -> list[dict[str, Any]]:
    """Slot, device, rev and scaled values of each slot that a week file holds a row for."""
    names = ("slot", "state", "device_id", "rev")
    table = pq.read_table(io.BytesIO(body), columns=[*names, *NAMES])
    columns = [table.column(name).to_pylist() for name in names]
    metrics = [_rescaled(table.column(m.name).to_pylist(), m.scale) for m in METRICS]
    values = zip(*metrics, strict=True)
    return [
        {"slot": slot, "device_id": device, "rev": rev, "deleted": False, "values": row}
        for slot, state, device, rev, row in zip(*columns, values, strict=True)
        if state != "not_sent"
    ]


def decode_originals(body: bytes) -> list[dict[str, Any]]:
    """Slot, device, rev, tombstone or not, and scaled values of each row of an originals file."""
    names = ("slot", "device_id", "rev", "deleted")
    table = pq.read_table(io.BytesIO(body), columns=[*names, *NAMES])
    columns = [table.column(name).to_pylist() for name in names]
    values = zip(*(table.column(name).to_pylist() for name in NAMES), strict=True)
    return [
        {"slot": slot, "device_id": device, "rev": rev, "deleted": deleted, "values": row}
        for slot, device, rev, deleted, row in zip(*columns, values, strict=True)
    ]


def _rescaled(column: list[float | None], scale: int) -> list[int | None]:
    return [None if value is None else round(value * scale) for value in column]


@lru_cache(maxsize=64)
def _local_s(start_slot: int, end_slot: int, zone: str) -> NDArray[np.int64]:
    """Wall-clock seconds of every slot: the customers of a zone share their weeks."""
    times = [local_time(slot, zone) for slot in range(start_slot, end_slot)]
    return np.array(times, "datetime64[s]").astype(np.int64)


def _text(codes: NDArray[np.int32], words: Sequence[str]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(np.array(words, object)))


def _metric(scaled: NDArray[np.float64], scale: int) -> Any:
    absent = np.isnan(scaled)
    if scale == 1:
        return pa.array(np.where(absent, 0, scaled).astype(np.int32), mask=absent)
    return pa.array((scaled / scale).astype(np.float32), mask=absent)


def _parquet(table: Any) -> bytes:
    """Whole numbers and times as differences, words by number: less than half of the defaults."""
    kinds = {field.name: field.type for field in table.schema}
    whole = [n for n, kind in kinds.items() if pt.is_integer(kind) or pt.is_timestamp(kind)]
    words = [n for n, kind in kinds.items() if pt.is_dictionary(kind) or pt.is_string(kind)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=max(table.num_rows, 1),
        write_statistics=False,
        use_dictionary=words,
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
        store_schema=False,
    )
    return bytes(sink.getvalue())
