"""Records of one partition on their way to becoming a batch, and when a batch is closed."""

import time
from typing import NamedTuple

from fitstream.broker import Record


class Limits(NamedTuple):
    """When a batch closes, how long an outage is borne, when a stuck consumer leaves, how many of
    the last thousand records may be parked (0: any number)."""

    max_records: int
    max_bytes: int
    max_age_s: float
    unavailable_max_s: float
    stuck_after_s: float
    rejects_max: int


class Buffer:
    """Records of one partition until count, bytes or age close them into a batch."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.size = 0
        self.since = 0.0

    def add(self, record: Record) -> None:
        if not self.records:
            self.since = time.monotonic()
        self.records.append(record)
        self.size += len(record.value)

    def is_closed(self, limits: Limits) -> bool:
        return bool(self.records) and (
            len(self.records) >= limits.max_records
            or self.size >= limits.max_bytes
            or time.monotonic() - self.since >= limits.max_age_s
        )
