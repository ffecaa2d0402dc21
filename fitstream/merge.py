"""The one pure rule by which two versions of a sample become one, and devices become one wearer.

Values are scaled integers in the order of METRICS, None where nothing was measured. Must do no
I/O: ledger, roller, API, pages and trainer all call this and nothing else.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Metric(NamedTuple):
    """A metric of the contract: unit scale (stored = value x scale) and inclusive range."""

    name: str
    scale: int
    low: int
    high: int


METRICS = (
    Metric("steps", 1, 0, 6000),
    Metric("distance_m", 10, 0, 20_000),
    Metric("calories_kcal", 100, 0, 2000),
    Metric("heart_rate_bpm", 10, 20, 260),
    Metric("heart_rate_min_bpm", 10, 20, 260),
    Metric("heart_rate_max_bpm", 10, 20, 260),
    Metric("light_min", 10, 0, 15),
    Metric("moderate_min", 10, 0, 15),
    Metric("vigorous_min", 10, 0, 15),
    Metric("sedentary_min", 10, 0, 15),
    Metric("sleep_min", 10, 0, 15),
    Metric("floors", 1, 0, 200),
)
NAMES = tuple(metric.name for metric in METRICS)
HEART = (3, 4, 5)
MINUTES = (6, 7, 8, 9)
SINGLES = (0, 1, 2, 10, 11)
TOMBSTONE_COUNT = 15

Values = tuple[int | None, ...]

_ABSENT = -(2**31)
_PACK = Struct(f"<{len(METRICS)}ih?").pack
_PACKED = np.dtype([("values", "<i4", len(METRICS)), ("tz", "<i2"), ("deleted", "?")])  # as _PACK
_HASH_BITS = 59
NOTHING: Values = (None,) * len(METRICS)
LEAST_TOMBSTONE = TOMBSTONE_COUNT << _HASH_BITS  # the tie-break of a tombstone, and of no other


def completeness(tie_break: int) -> int:
    """How many metrics a version with this tie-break measured; TOMBSTONE_COUNT for a tombstone."""
    return tie_break >> _HASH_BITS


class Row(NamedTuple):
    """One version of one sample, with what decides between versions."""

    values: Values
    tz_offset_min: int
    rev: int
    tie: int

    @property
    def deleted(self) -> bool:
        """Whether this version is a tombstone."""
        return completeness(self.tie) == TOMBSTONE_COUNT


def tie(values: Values, tz_offset_min: int, deleted: bool) -> int:
    """Tie-break of a version: bits 62-59 its count of measured metrics, below them its hash.

    More complete wins at equal rev, then the larger hash, so the result never depends on order.
    """
    absent = values.count(None)
    marked = [_ABSENT if value is None else value for value in values] if absent else values
    digest = sha256(_PACK(*marked, tz_offset_min, deleted)).digest()
    count = TOMBSTONE_COUNT if deleted else len(values) - absent
    return count << _HASH_BITS | int.from_bytes(digest[:8], "big") >> (64 - _HASH_BITS)


def ties(
    values: NDArray[np.int64],
    absent: NDArray[np.bool_],
    tz_offset_min: NDArray[np.int64],
    deleted: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """`tie` of many versions at once: `values` and `absent` are (metric, version).

    Values must fit int4 and offsets int2; tombstones must be absent in every metric.
    """
    packed = np.empty(len(deleted), _PACKED)
    packed["values"] = np.where(absent, _ABSENT, values).T
    packed["tz"], packed["deleted"] = tz_offset_min, deleted
    content, size = packed.tobytes(), _PACKED.itemsize
    starts = range(0, len(content), size)
    digests = b"".join([sha256(content[at : at + size]).digest() for at in starts])
    hashes = np.frombuffer(digests, ">u8")[::4] >> (64 - _HASH_BITS)
    counts = np.where(deleted, TOMBSTONE_COUNT, len(METRICS) - absent.sum(axis=0))
    return counts << _HASH_BITS | hashes.astype(np.int64)


def make_row(values: Values, tz_offset_min: int, rev: int, deleted: bool) -> Row:
    """A version; a tombstone carries no metric."""
    kept = NOTHING if deleted else values
    return Row(kept, tz_offset_min, rev, tie(kept, tz_offset_min, deleted))


class Version(Protocol):
    """What the rule looks at: a Row, or a row of the ledger."""

    @property
    def rev(self) -> int: ...

    @property
    def tie(self) -> int: ...


def rank(version: Version) -> tuple[int, int]:
    """What decides: of two versions of a sample the one with the larger rank stays."""
    return version.rev, version.tie


def wins(challenger: Version, current: Version) -> bool:
    """Whether `challenger` replaces `current`."""
    return rank(challenger) > rank(current)


def merged(versions: Iterable[Row]) -> Row:
    """The version that remains of all; commutative, associative, idempotent."""
    return max(versions, key=rank)


def is_conflict(one: Row, other: Row) -> bool:
    """Equal rev and equally complete, yet different content: worth recording."""
    same_count = one.tie >> _HASH_BITS == other.tie >> _HASH_BITS
    return one.rev == other.rev and one.tie != other.tie and same_count


def combine_devices(rows: Sequence[Values]) -> Values:
    """One slot of one wearer from several devices, best priority first; nothing is added up.

    Each metric comes from the best device that measured it; the heart-rate triple from one device,
    and so the four activity minutes, from the best that measured any of them.
    """
    if len(rows) == 1:
        return rows[0]
    combined: list[int | None] = [None] * len(METRICS)
    for index in SINGLES:
        combined[index] = next((row[index] for row in rows if row[index] is not None), None)
    for group in (HEART, MINUTES):
        best = next((row for row in rows if any(row[i] is not None for i in group)), NOTHING)
        for index in group:
            combined[index] = best[index]
    return tuple(combined)


def unscaled(values: Values) -> dict[str, float | int]:
    """Measured metrics by name, in the units of the contract; absent ones are left out."""
    return {
        metric.name: value if metric.scale == 1 else value / metric.scale
        for metric, value in zip(METRICS, values, strict=True)
        if value is not None
    }
