"""What a check of the whole system found, as lines for people and as JSON.

A difference breaks a promise. What stands apart is worth knowing and breaks none.
"""

from typing import Any, NamedTuple

import msgspec

_KEPT = 1000
_SHOWN = 20

CHECKS = {
    "content": "the ledger's rows give another content hash than the version",
    "versions": "versions of a week are not contiguous, or not exactly one is current",
    "file": "a file of a version is missing or holds other bytes",
    "manifest": "a manifest says other things than the version",
    "rows": "a file holds other rows than the ledger",
    "overdue": "a closed week waits for its roll for too long",
    "position": "Kafka's group stands beyond what the ledger has stored",
    "loss": "records were lost and no person has acknowledged it",
    "run": "one dataset and recipe was trained on more than once",
    "count": "counters and rows of the ledger do not add up",
    "dirty": "weeks that have changed since their roll; they are rolled when they are due",
    "replaced": "a damaged file of an old version; a later version holds the same content",
    "orphan": "objects that no version refers to",
    "gap": "slots that a device never sent between its first and its last",
    "dead": "records that wait among the dead letters",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing found: by which check, where, and what."""

    check: str
    where: str
    detail: str


class WeekKey(NamedTuple):
    """Number of a customer and name of a week."""

    customer_no: int
    week: str


class Report:
    """Findings of one check; the first thousand of each kind are kept, all are counted."""

    def __init__(self) -> None:
        self.checked = {"customers": 0, "weeks": 0, "versions": 0, "files": 0, "rows": 0}
        self.differences: dict[str, int] = {}
        self.apart: dict[str, int] = {}
        self.weeks: set[WeekKey] = set()
        self.notes: list[str] = []
        self._kept: dict[str, list[Finding]] = {}

    @property
    def is_clean(self) -> bool:
        """Whether every promise that was looked at holds."""
        return not self.differences

    def differs(self, found: Finding, week: WeekKey | None = None) -> None:
        """Adds a difference, perhaps of a week that could be rolled again."""
        self._add(self.differences, found)
        if week is not None:
            self.weeks.add(week)

    def stands_apart(self, found: Finding) -> None:
        """Adds what is worth knowing and no difference."""
        self._add(self.apart, found)

    def count(self, what: str, number: int = 1) -> None:
        """Notes that so many were looked at."""
        self.checked[what] += number

    def findings(self, check: str) -> list[Finding]:
        """What a check found, as far as it is kept."""
        return self._kept.get(check, [])

    def as_dict(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "clean": self.is_clean,
            "checked": self.checked,
            "differences": self._group(self.differences),
            "apart": self._group(self.apart),
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """The report for people."""
        looked = ", ".join(f"{number} {what}" for what, number in self.checked.items())
        said = [f"looked at {looked}"]
        for title, counts in (("DIFFERENCE", self.differences), ("apart", self.apart)):
            for check, number in sorted(counts.items()):
                said.append(f"{title} {check}: {number} – {CHECKS[check]}")
                shown = self.findings(check)[:_SHOWN]
                said += [f"    {each.where}: {each.detail}" for each in shown]
                if number > len(shown):
                    said.append(f"    and {number - len(shown)} more; --json has more of them")
        said += self.notes
        total = sum(self.differences.values())
        said.append("clean" if self.is_clean else f"{total} difference{'s' * (total != 1)}")
        return said

    def _add(self, counts: dict[str, int], found: Finding) -> None:
        counts[found.check] = counts.get(found.check, 0) + 1
        kept = self._kept.setdefault(found.check, [])
        if len(kept) < _KEPT:
            kept.append(found)

    def _group(self, counts: dict[str, int]) -> dict[str, Any]:
        return {
            check: {"count": number, "found": self.findings(check)}
            for check, number in sorted(counts.items())
        }
