"""What changed between two versions of a week: which slots, how a reader sees it, and why.

Pure; told from the rows of both where they were kept, else from what readers see.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fitstream.clock import slot_start
from fitstream.combined import LedgerRow
from fitstream.merge import Values
from fitstream.weekfile import WeekContent

WHY = ("late", "corrected", "deleted", "device_priority")
_RUNS_SHOWN = 200


def changes(
    before: Sequence[dict[str, Any]] | None,
    content: WeekContent,
    originals: Sequence[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Which slots differ from the version before, how and why.

    How: added, removed, corrected. Why: late (a row came), corrected, deleted, device_priority
    (the same rows in another order); `why` also counts slots whose rows changed without effect.
    `before` are the slots of the last version, None for the first one, `originals` its rows where
    they were kept.
    """
    if before is None:
        return {"added": 0, "removed": 0, "corrected": 0, "why": dict.fromkeys(WHY, 0), "slots": []}
    old = {entry["slot"]: tuple(entry["values"]) for entry in before}
    new = {slot.slot: slot.values for slot in content.slots}
    were = _rows_by_slot((e["slot"], e) for e in (before if originals is None else originals))
    are = _rows_by_slot((row.slot, _entry(row)) for row in content.rows)
    hows: dict[str, int] = {"added": 0, "removed": 0, "corrected": 0}
    whys = dict.fromkeys(WHY, 0)
    shown: dict[tuple[str, str], list[int]] = {}
    for slot in sorted(were.keys() | are.keys()):
        how = _how(old.get(slot), new.get(slot))
        why = _why(were.get(slot, {}), are.get(slot, {}), is_visible=bool(how))
        if why:
            whys[why] += 1
        if how and why:
            hows[how] += 1
            shown.setdefault((how, why), []).append(slot)
    runs = [
        {"from": slot_start(start), "to": slot_start(end), "change": how, "why": why}
        for (how, why), slots in shown.items()
        for start, end in _runs(slots)
    ]
    return {**hows, "why": whys, "slots": runs[:_RUNS_SHOWN]}


def ledger_entries(content: WeekContent) -> list[dict[str, Any]]:
    """The rows of a week as `decode_originals` gives them."""
    return [_entry(row) for row in content.rows]


def _entry(row: LedgerRow) -> dict[str, Any]:
    version = row.row
    return {
        "slot": row.slot,
        "device_id": row.device_id,
        "rev": version.rev,
        "deleted": version.deleted,
        "values": version.values,
    }


def _rows_by_slot(
    entries: Iterable[tuple[int, dict[str, Any]]],
) -> dict[int, dict[str, dict[str, Any]]]:
    """Rows of each slot by device."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for slot, entry in entries:
        found.setdefault(slot, {})[entry["device_id"]] = entry
    return found


def _how(old: Values | None, new: Values | None) -> str:
    """What a reader sees of a slot: added, removed, corrected, or nothing."""
    if old is None:
        return "" if new is None else "added"
    if new is None:
        return "removed"
    return "" if old == new else "corrected"


def _why(were: dict[str, dict[str, Any]], are: dict[str, dict[str, Any]], is_visible: bool) -> str:
    """What happened to the rows of a slot; nothing when they are the same and look the same."""
    fresh = [row for device, row in are.items() if device not in were]
    other = [row for device, row in are.items() if device in were and _differ(were[device], row)]
    if any(not row["deleted"] for row in fresh):
        return "late"
    if any(row["deleted"] for row in (*fresh, *other)) or were.keys() - are.keys():
        return "deleted"
    if other:
        return "corrected"
    return "device_priority" if is_visible else ""


def _differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(one[name] != other[name] for name in ("rev", "deleted", "values"))


def _runs(slots: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open runs of consecutive slots."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and runs[-1][1] == slot:
            runs[-1] = (runs[-1][0], slot + 1)
        else:
            runs.append((slot, slot + 1))
    return runs
