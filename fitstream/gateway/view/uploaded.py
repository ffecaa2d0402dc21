"""Uploads as pages show them: how far each is, what it would change, what to do next. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from fitstream.client.uploads import Upload, UploadRow
from fitstream.gateway.view import words
from fitstream.gateway.view.spoken import spoken
from fitstream.uploads.compare import OUTCOMES

FORMATS = {
    "csv": "CSV", "ndjson": "NDJSON", "parquet": "Parquet", "legacy_daily": "Daily CSV",
}  # fmt: skip
_OUTCOMES = {
    "new": ("New", "slots that no device has"),
    "adds": ("Adds", "metrics that nobody had measured"),
    "supersedes": ("Supersedes", "other values win, because of the priority"),
    "same": ("Same", "nothing changes"),
    "loses": ("Loses", "better devices keep what they say"),
    "conflict": ("Conflict", "as good as what is there, and different: chance would decide"),
    "rejected": ("Rejected", "not acceptable; each row says why"),
}
_TONES = {
    "new": "good",
    "adds": "good",
    "supersedes": "busy",
    "conflict": "warn",
    "rejected": "bad",
}
_FAILED = {
    "checking": "The check failed",
    "ingesting": "The ingestion stopped",
    "undoing": "The undo stopped",
}
LEDGER = "the ledger"
_UNITS = ("B", "KiB", "MiB", "GiB")


class Step(NamedTuple):
    """One of the steps from file to ledger; `tone` is good, warn, bad, later or empty."""

    name: str
    figure: str
    note: str
    tone: str
    icon: str


class OutcomeCount(NamedTuple):
    """How many rows would have an outcome, and the address of those."""

    outcome: str
    name: str
    meaning: str
    tone: str
    rows: int
    href: str


class RowView(msgspec.Struct, frozen=True, kw_only=True):
    """A row's verdict in words; `line` counts from 1 below the header."""

    line: int
    row: UploadRow
    name: str
    tone: str
    why: str
    changes: list[str]


class UploadView(msgspec.Struct, frozen=True, kw_only=True):
    """An upload in words; `next` is the sensible step: map, ingest, undo, again or empty."""

    upload: Upload
    format: str
    size: str
    said: str
    share: int | None
    title: str
    next: str
    rows_in: int
    can_undo: bool
    can_map: bool
    can_remove: bool


def upload_view(upload: Upload, there: str = LEDGER) -> UploadView:
    """Everything a page says about an upload; `there` is where its rows go."""
    is_stopped = upload.state in ("failed", "cancelled")
    return UploadView(
        upload=upload,
        format=FORMATS.get(upload.format, upload.format),
        size=size_of(upload.size),
        said=said_of(upload, there),
        share=_share(upload),
        title=upload.name or "Removed file",
        next=_next(upload, is_stopped=is_stopped),
        rows_in=_acceptable(upload),
        can_undo=upload.state == "ingested"
        or (is_stopped and upload.phase in ("ingesting", "undoing")),
        can_map=upload.format != "legacy_daily"
        and (
            upload.state in ("unmapped", "checked")
            or (is_stopped and upload.phase == "checking" and bool(upload.columns))
        ),
        can_remove=bool(upload.name)
        and (
            upload.state in ("unmapped", "checked", "undone")
            or (is_stopped and upload.phase == "checking")
        ),
    )


def said_of(upload: Upload, there: str = LEDGER) -> str:
    """The one sentence that a person needs next."""
    if upload.state == "failed":
        return f"{_FAILED.get(upload.phase, 'It failed')}: {upload.error or 'no reason given'}"
    if upload.state == "cancelled":
        return f"{_FAILED.get(upload.phase, 'It was stopped')} because somebody cancelled it."
    if upload.is_moving:
        return _moving(upload, there)
    if upload.state == "unmapped":
        return _unmapped(upload)
    if upload.state == "checked":
        rows = words.count_of(_acceptable(upload), "row")
        return f"{rows} can come in. Nothing has reached {there} yet."
    if upload.state == "ingested":
        return _ingested(upload, there)
    return _undone(upload, there) if upload.state == "undone" else "Its file was removed."


def steps_of(upload: Upload, there: str = LEDGER) -> list[Step]:
    """From the file to where its rows go."""
    columns = words.count_of(len(upload.columns), "column") if upload.columns else "not read yet"
    size = size_of(upload.size)
    return [
        Step("File", size, columns, _file_tone(upload), "topic"),
        _mapping_step(upload),
        _check_step(upload),
        _ledger_step(upload, there),
    ]


def outcomes_of(upload: Upload, home: str) -> list[OutcomeCount]:
    """Outcomes that any row has, in a fixed order."""
    counts: Mapping[str, int] = upload.report.outcomes if upload.report else {}
    return [
        OutcomeCount(
            outcome, *_OUTCOMES[outcome], _TONES.get(outcome, ""), counts[outcome],
            f"{home}?outcome={outcome}#rows",
        )
        for outcome in OUTCOMES
        if outcome in counts
    ]  # fmt: skip


def row_views(rows: Sequence[UploadRow]) -> list[RowView]:
    """Rows of the dry run in words."""
    return [
        RowView(
            line=row.index + 1,
            row=row,
            name=_OUTCOMES[row.outcome][0] if row.outcome in _OUTCOMES else row.outcome,
            tone=_TONES.get(row.outcome, ""),
            why=spoken(row.message) if row.message else "",
            changes=[_change(name, pair) for name, pair in row.changes.items()],
        )
        for row in rows
    ]


def size_of(size: int) -> str:
    """`12 KiB`, `3.4 MiB`."""
    value = float(size)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{words.number(round(value, 1))} {unit}"
        value /= 1024
    return f"{words.number(round(value, 1))} {_UNITS[-1]}"


def _change(name: str, pair: tuple[float | None, float | None]) -> str:
    before, after = (words.number(value) for value in pair)
    return f"{words.metric(name)} {before} → {after}"


def _acceptable(upload: Upload) -> int:
    if upload.report is None:
        return 0
    return upload.report.rows - upload.report.outcomes.get("rejected", 0)


def _next(upload: Upload, *, is_stopped: bool) -> str:
    if upload.state == "unmapped":
        return "map"
    if upload.state == "checked":
        return "ingest" if _acceptable(upload) else "map"
    if is_stopped:
        return "again"
    return ""


def _share(upload: Upload) -> int | None:
    done, of = (upload.progress.get(name) for name in ("rows", "of"))
    if upload.phase == "checking":
        done, of = upload.progress.get("done"), 100
    if upload.phase == "undoing":
        done = upload.progress.get("customers")
    if not upload.is_moving or not isinstance(done, int | float) or not of:
        return None
    return min(100, max(0, int(100 * done / of)))


def _moving(upload: Upload, there: str) -> str:
    if upload.is_stopping:
        return "Asked to stop; it ends within seconds."
    if upload.phase == "ingesting":
        rows = int(upload.progress.get("rows", 0))
        return f"{words.count_of(rows, 'row')} acknowledged so far. You may leave this page."
    if upload.phase == "undoing":
        return f"Its rows are leaving {there}; what lay below comes back."
    return f"Every row is being read and compared with {there}. You may leave this page."


def _unmapped(upload: Upload) -> str:
    if upload.problem is not None:
        return spoken(upload.problem.message)
    return "Nobody has said yet what its columns are. A mapping is suggested; look at it first."


def _ingested(upload: Upload, there: str) -> str:
    sent = upload.sent
    if sent is None or not sent.accepted:
        return "No row was acceptable, so nothing came in."
    if upload.format == "legacy_daily":
        days = words.count_of(sent.accepted, "day")
        return f"{days} are kept as summaries, beside the days of samples and never among them."
    rows = words.count_of(sent.accepted, "row")
    if there == LEDGER:
        rows = f"{rows} of {words.count_of(upload.devices, 'customer')}"
    if not sent.is_in_ledger:
        return f"{rows} acknowledged; they appear in {there} within seconds."
    return f"{rows} {'is' if sent.accepted == 1 else 'are'} in {there}."


def _undone(upload: Upload, there: str) -> str:
    if upload.format == "legacy_daily":
        return "Taken back: its days are gone."
    return f"Taken back: {words.count_of(upload.removed, 'row')} left {there}."


def _file_tone(upload: Upload) -> str:
    is_bad = upload.state == "failed" and upload.phase == "checking" and not upload.columns
    return "bad" if is_bad else "good"


def _mapping_step(upload: Upload) -> Step:
    if upload.format == "legacy_daily":
        return Step("Mapping", "–", "the daily kind needs none", "good", "week")
    if upload.mapping is not None:
        figure = f"version {upload.mapping.version}"
        return Step("Mapping", figure, upload.mapping.name, _problem_tone(upload), "week")
    if upload.state == "unmapped":
        return Step("Mapping", "wanted", "say what its columns are", "warn", "week")
    if upload.spec is None:
        return Step("Mapping", "–", "not looked at yet", "later", "week")
    columns = upload.spec.get("columns", [])
    mapped = sum(each.get("to") != "ignore" for each in columns)
    return Step("Mapping", f"{mapped} of {len(upload.columns)}", "columns are read", "good", "week")


def _problem_tone(upload: Upload) -> str:
    return "bad" if upload.problem is not None else "good"


def _check_step(upload: Upload) -> Step:
    if upload.report is None:
        note = "running" if upload.state == "checking" else "after the mapping"
        return Step("Dry run", "–", note, "" if upload.state == "checking" else "later", "ledger")
    bad = upload.report.outcomes.get("rejected", 0)
    note = f"{words.number(bad)} of them refused" if bad else "every row is acceptable"
    rows = words.count_of(upload.report.rows, "row")
    return Step("Dry run", rows, note, "warn" if bad else "good", "ledger")


def _ledger_step(upload: Upload, there: str) -> Step:
    name = f"In {there}"
    if upload.phase == "undone":
        return Step(name, "undone", "nothing of it is left", "later", "forecast")
    if upload.sent is None or upload.phase not in ("ingesting", "ingested", "undoing"):
        return Step(name, "–", "when you ask for it", "later", "forecast")
    is_whole = upload.sent.is_in_ledger
    note = f"all in {there}" if is_whole else "acknowledged, on the way"
    tone = "good" if is_whole else "bad" if upload.state == "failed" else ""
    return Step(name, words.count_of(upload.sent.accepted, "row"), note, tone, "forecast")
