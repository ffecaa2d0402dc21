"""Checks of one week: its versions, their files, and the ledger's rows.

Only reads. A dirty week has no content to compare; its files are checked all the same.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from fitstream import weekchanges, weekfile
from fitstream.errors import NotFound
from fitstream.operations.findings import Finding, Report, WeekKey
from fitstream.repo.checks import CheckedWeek
from fitstream.repo.weeks import WeekVersion
from fitstream.store import Store
from fitstream.weekfile import WeekContent

Bodies = dict[str, bytes]


class WeekFacts(NamedTuple):
    """A week in one snapshot: state, versions (oldest first), and rows unless it is dirty."""

    week: CheckedWeek
    versions: Sequence[WeekVersion]
    content: WeekContent | None

    @property
    def where(self) -> str:
        """The week in words."""
        return f"{self.week.customer_id} {self.week.week}"

    @property
    def current(self) -> WeekVersion | None:
        """The current version, None when there is none of that number."""
        number = self.week.current_version
        return next((each for each in self.versions if each.version == number), None)


class _Damage(NamedTuple):
    version: int
    key: str
    what: str


async def check_week(store: Store, facts: WeekFacts, report: Report) -> None:
    """Adds what is wrong with a week to the report. Raises Unavailable."""
    key = WeekKey(facts.week.customer_no, facts.week.week)

    def differs(check: str, detail: str) -> None:
        report.differs(Finding(check, facts.where, detail), key)

    for detail in numbering(facts):
        differs("versions", detail)
    damage, bodies = await _read_files(store, facts, report)
    for each in damage:
        text = f"version {each.version}: {each.key} {each.what}"
        if _is_replaced(facts.versions, each.version, {found.version for found in damage}):
            report.stands_apart(Finding("replaced", facts.where, text))
        else:
            differs("file", text)
    current = facts.current
    if current is None:
        return
    for check, detail in await asyncio.to_thread(_compare, facts, current, bodies):
        differs(check, detail)


def numbering(facts: WeekFacts) -> list[str]:
    """What is wrong with the numbers of a week's versions."""
    week, numbers = facts.week, [each.version for each in facts.versions]
    wrong = []
    if numbers != list(range(1, len(numbers) + 1)):
        wrong.append(f"versions are {numbers}")
    if week.current_version != (max(numbers) if numbers else None):
        newest = max(numbers, default="none")
        wrong.append(f"current is {week.current_version}, the newest is {newest}")
    if not numbers and (week.rolled_seq > 0 or week.rolled_at is not None):
        wrong.append("it was rolled and has no version")
    if week.rolled_seq > week.dirty_seq:
        wrong.append(f"rolled_seq {week.rolled_seq} is beyond dirty_seq {week.dirty_seq}")
    return wrong


def manifest_differences(
    manifest: dict[str, Any], facts: WeekFacts, version: WeekVersion
) -> list[str]:
    """Fields in which a manifest and its version differ."""
    said = {
        "customer_id": facts.week.customer_id,
        "week": facts.week.week,
        "version": version.version,
        "content_sha": version.content_sha,
        "rows": version.rows,
        "measured": version.measured,
        "files": [file for file in version.files if file["kind"] != "manifest"],
    }
    return [name for name, value in said.items() if manifest.get(name) != value]


async def _read_files(
    store: Store, facts: WeekFacts, report: Report
) -> tuple[list[_Damage], Bodies]:
    """Files that are missing or differ from their SHA-256; the current version's sound ones."""
    damage: list[_Damage] = []
    bodies: Bodies = {}
    for version in facts.versions:
        report.count("versions")
        for file in version.files:
            report.count("files")
            try:
                body = await store.get(file["key"])
            except NotFound:
                damage.append(_Damage(version.version, file["key"], "is missing"))
                continue
            if not weekfile.is_sound(file, body):
                damage.append(_Damage(version.version, file["key"], "holds other bytes"))
            elif version is facts.current:
                bodies[file["kind"]] = body
        if "manifest" not in {file["kind"] for file in version.files}:
            damage.append(_Damage(version.version, "its manifest", "is not named"))
    return damage, bodies


def _is_replaced(versions: Sequence[WeekVersion], number: int, damaged: set[int]) -> bool:
    """Whether a later sound version holds the content of a damaged one."""
    sha = next(each.content_sha for each in versions if each.version == number)
    return any(
        each.content_sha == sha and each.version > number and each.version not in damaged
        for each in versions
    )


def _compare(facts: WeekFacts, current: WeekVersion, bodies: Bodies) -> list[tuple[str, str]]:
    """Differences between ledger, current version, manifest and files, as (check, detail)."""
    found: list[tuple[str, str]] = []
    at = f"version {current.version}"
    if "manifest" in bodies:
        manifest = _decoded(bodies["manifest"])
        fields = manifest_differences(manifest, facts, current)
        found += [("manifest", f"{at}: its manifest differs in {name}") for name in fields]
    if facts.content is None:
        return found
    sha = weekfile.content_sha(facts.content)
    if sha != current.content_sha:
        detail = f"{at} says {current.content_sha[:12]}, the ledger gives {sha[:12]}"
        found.append(("content", detail))
    return found + [("rows", f"{at}: {detail}") for detail in _file_differences(facts, bodies)]


def _file_differences(facts: WeekFacts, bodies: Bodies) -> list[str]:
    """How the files of the current version differ from the ledger's rows."""
    content = facts.content
    if content is None:
        return []
    found = []
    try:
        if "originals" in bodies:
            rows = weekfile.decode_originals(bodies["originals"])
            if rows != weekchanges.ledger_entries(content):
                found.append("the originals file holds other rows")
        elif weekfile.needs_originals(content) and facts.current and not _names_originals(facts):
            found.append("an originals file is needed and there is none")
        if "week" in bodies:
            seen = weekfile.decode_week(bodies["week"])
            slots = [(entry["slot"], entry["values"]) for entry in seen]
            if slots != [(slot.slot, slot.values) for slot in content.slots]:
                found.append("the week file holds other slots")
    except (ValueError, KeyError, OSError) as error:
        found.append(f"a file cannot be read: {error}")
    return found


def _names_originals(facts: WeekFacts) -> bool:
    files = facts.current.files if facts.current else []
    return any(file["kind"] == "originals" for file in files)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
