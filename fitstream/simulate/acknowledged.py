"""What the gateway acknowledged, merged by the one rule: what a ledger is held against."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fitstream.clock import slot_of
from fitstream.merge import METRICS, Row, Values, make_row, merged

Versions = dict[int, Row]  # by slot


class Acknowledged:
    """Accepted rows by customer and device, one merged version per slot."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Versions]] = {}

    def note(self, customer_id: str, device_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remembers rows as they were sent and accepted."""
        versions = self._rows.setdefault(customer_id, {}).setdefault(device_id, {})
        for sent in rows:
            slot, row = version_of(sent)
            versions[slot] = merged([row, versions[slot]]) if slot in versions else row

    def of(self, customer_id: str, device_id: str) -> Versions:
        """Merged versions of a device by slot."""
        return self._rows.get(customer_id, {}).get(device_id, {})

    @property
    def count(self) -> int:
        """Slots of all customers and devices."""
        return sum(len(each) for devices in self._rows.values() for each in devices.values())


def version_of(sent: Mapping[str, Any]) -> tuple[int, Row]:
    """Slot and version of a row, as sent to the API or answered by it."""
    values: Values = tuple(
        None if sent.get(metric.name) is None else round(sent[metric.name] * metric.scale)
        for metric in METRICS
    )
    row = make_row(
        values, sent.get("tz_offset_min", 0), sent.get("rev", 0), bool(sent.get("deleted"))
    )
    return slot_of(datetime.fromisoformat(sent["slot"])), row
