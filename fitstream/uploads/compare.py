"""What a row of a file would change, if it came in: against the ledger, and within the file. Pure.

`merge.combine_devices` decides, as for every reader.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from fitstream.merge import METRICS, Row, Values, combine_devices, is_conflict, wins

Outcome = Literal["new", "same", "adds", "supersedes", "loses", "conflict", "rejected"]
OUTCOMES: tuple[Outcome, ...] = (
    "new", "adds", "supersedes", "same", "loses", "conflict", "rejected",
)  # fmt: skip
Changes = dict[str, tuple[float | None, float | None]]


class There(NamedTuple):
    """What a device says of a slot already, with its priority; never a tombstone."""

    priority: int
    values: Values


class Difference(NamedTuple):
    """What became of a row, and the metrics that differ as (before, this row)."""

    outcome: Outcome
    changes: Changes


_SAME = Difference("same", {})


def difference(row: Row, priority: int, there: Sequence[There]) -> Difference:
    """What readers of a slot would see change; `there` are all other devices, best first.

    new: nothing was there. adds: metrics that nobody measured. supersedes: other values win now.
    same: nothing changes. loses: better devices keep what they say. conflict: a device of the
    same priority says otherwise, and chance would decide.
    """
    if row.deleted:
        return _SAME  # a tombstone of a device takes only its own rows away
    if not there:
        return Difference("new", {})
    before = combine_devices([values for _, values in there])
    tied = [values for theirs, values in there if theirs == priority]
    if any(_contradicts(row.values, values) for values in tied):
        return Difference("conflict", _changes(before, row.values))
    better = [values for theirs, values in there if theirs <= priority]
    worse = [values for theirs, values in there if theirs > priority]
    after = combine_devices([*better, row.values, *worse])
    if after == before:
        is_known = not _contradicts(row.values, before)
        return _SAME if is_known else Difference("loses", _changes(before, row.values))
    changed = _changes(before, after)
    adds = all(old is None for old, _ in changed.values())
    return Difference("adds" if adds else "supersedes", changed)


class Seen:
    """Slots that the file has had already: the merge rule decides between its own rows."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[int, int]] = {}

    def note(self, customer_no: int, slot: int, row: Row) -> Outcome | None:
        """What becomes of a row that comes again; None for one that goes on to be compared."""
        key = customer_no << 32 | slot
        before = self._rows.get(key)
        if before is None:
            self._rows[key] = (row.rev, row.tie)
            return None
        old = Row((), 0, *before)
        if (row.rev, row.tie) == before:
            return "same"
        is_better = wins(row, old)
        if is_better:
            self._rows[key] = (row.rev, row.tie)
        if is_conflict(old, row):
            return "conflict"
        return None if is_better else "loses"


def _contradicts(one: Values, other: Values) -> bool:
    """Whether `one` measured anything that `other` does not say."""
    pairs = zip(one, other, strict=True)
    return any(mine is not None and mine != theirs for mine, theirs in pairs)


def _changes(before: Values, after: Values) -> Changes:
    return {
        metric.name: (_unscaled(old, metric.scale), _unscaled(new, metric.scale))
        for metric, old, new in zip(METRICS, before, after, strict=True)
        if old != new and not (new is None and old is not None)
    }


def _unscaled(value: int | None, scale: int) -> float | None:
    if value is None:
        return None
    return value if scale == 1 else value / scale
