"""`fitstream verify --receipts FILE`: whether what receipts say was accepted is still there.

Each line of the file is a receipt as a 202 gave it (JSON), or a signed one alone (JWS). Reads
only; holds a few hundred receipts at a time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fitstream import events
from fitstream.clock import slot_start
from fitstream.errors import Rejected
from fitstream.operations.applied import Place, applied, was_erased
from fitstream.operations.records import Found, Records, open_records
from fitstream.receipts import PublicKey, Signer, verify
from fitstream.repo.database import Repo, open_repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings
from fitstream.store import open_store

_AT_ONCE = 500
_LINE_MAX_BYTES = 1_048_576
_SHOWN = 100
_NAMED = 3  # missing slots that one receipt's line names

Short = Annotated[int, Meta(ge=0, le=2**16 - 1)]


class Claim(msgspec.Struct, frozen=True):
    """What a receipt says that can be checked."""

    batch_id: str
    device_id: str
    generation: Short
    partition: Short
    offset: Annotated[int, Meta(ge=0, le=2**48 - 1)]
    accepted: int
    content_sha: str
    receipt_jws: str | None = None

    @property
    def place(self) -> Place:
        """Where the record is said to stand."""
        return Place(self.generation, self.partition, self.offset)


class ReceiptsReport(msgspec.Struct, kw_only=True):
    """Counts of what was found; `shown` names the first differences."""

    signed: int = 0
    unsigned: int = 0
    in_kafka: int = 0
    in_archive: int = 0
    samples: dict[str, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(
            ("current", "superseded", "waiting", "parked", "erased", "missing"), 0
        )
    )
    differences: int = 0
    shown: list[str] = []

    @property
    def is_clean(self) -> bool:
        """Whether every receipt holds; so do rows that wait, are parked or erased on request."""
        return self.differences == 0

    def differs(self, what: str) -> None:
        """Notes a difference."""
        self.differences += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(what)

    def lines(self) -> list[str]:
        """The report for people."""
        rows = ", ".join(f"{count} {state}" for state, count in self.samples.items())
        hidden = self.differences - len(self.shown)
        return [
            f"receipts: {self.signed} signed, {self.unsigned} unsigned",
            f"records: {self.in_kafka} in Kafka, {self.in_archive} in the archive",
            f"samples: {rows}",
            *(f"difference: {what}" for what in self.shown),
            *([f"… and {hidden} more"] if hidden else []),
            f"differences: {self.differences}",
        ]


async def verify_receipts(settings: Settings, path: Path) -> ReceiptsReport:
    """Compares every receipt of a file with what is stored.

    Raises Rejected(unreadable) for a file that cannot be read, Unavailable when Kafka, Postgres
    or S3 is away.
    """
    report = ReceiptsReport()
    keys = Signer(master_keys(settings)).public
    async with (
        open_repo(settings) as repo,
        open_store(settings) as store,
        open_records(settings, repo, store) as records,
    ):
        lines = _lines(path)
        while chunk := await asyncio.to_thread(list, islice(lines, _AT_ONCE)):
            claims = [read_claim(line, name, keys, report) for name, line in chunk]
            placed = await _placed(records, [claim for claim in claims if claim])
            await _compare(repo, records, placed, report)
    return report


def read_claim(
    line: bytes, name: str, keys: Sequence[PublicKey], report: ReceiptsReport
) -> Claim | None:
    """The claim of a line, counted as signed or not; None, and a difference, when it is wrong."""
    try:
        said = msgspec.json.decode(line, type=Claim) if line.startswith(b"{") else None
        jws = said.receipt_jws if said else line.decode()
        if jws is None:
            report.unsigned += 1
            return said
        claim = msgspec.json.decode(verify(jws, keys), type=Claim)
    except Rejected as error:
        report.differs(f"{name}: {error.message} ({error.code})")
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        report.differs(f"{name}: not a receipt: {error}")
        return None
    report.signed += 1
    if said is not None and msgspec.structs.replace(said, receipt_jws=None) != claim:
        report.differs(f"{name}: says something else than what was signed")
    return claim


async def _placed(records: Records, claims: Sequence[Claim]) -> list[Claim]:
    """Claims under the generation that the ledger knows their record by.

    Until a recreated topic is adopted, gateways give receipts of the generation before.
    """
    later: dict[Place, Claim] = {}
    for claim in claims:
        for generation in range(claim.generation + 1, records.generation + 1):
            later[claim.place._replace(generation=generation)] = claim
    moved: dict[str, Claim] = {}
    for (generation, partition), places in _by_part(later).items():
        async for found in records.find(generation, partition, sorted(places)):
            claim = later[Place(generation, partition, found.offset)]
            if found.value is not None and _batch_id(found.value) == claim.batch_id:
                moved[claim.batch_id] = msgspec.structs.replace(claim, generation=generation)
    return [moved.get(claim.batch_id, claim) for claim in claims]


def _by_part(places: Iterable[Place]) -> dict[tuple[int, int], list[int]]:
    """Offsets by generation and partition."""
    parts: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in places:
        parts[place[:2]].append(place.offset)
    return parts


def _batch_id(value: bytes) -> str | None:
    try:
        return events.decode(value).batch_id
    except Rejected:
        return None


async def _compare(
    repo: Repo, records: Records, claims: Sequence[Claim], report: ReceiptsReport
) -> None:
    """Claims by partition, so that Kafka and the archive are read in order."""
    parts: dict[tuple[int, int], dict[int, list[Claim]]] = defaultdict(lambda: defaultdict(list))
    for claim in claims:
        parts[claim.generation, claim.partition][claim.offset].append(claim)
    for part, by_offset in parts.items():
        async for found in records.find(*part, sorted(by_offset)):
            for claim in by_offset.pop(found.offset):
                await _check(repo, records.topic, claim, found, report)
        for left in by_offset.values():
            for claim in left:
                await _gone(repo, claim, report, "neither Kafka nor the archive has the record")


async def _check(
    repo: Repo, topic: str, claim: Claim, found: Found, report: ReceiptsReport
) -> None:
    """One record against its claim, then each of its rows against the ledger."""
    report.in_kafka += found.where == "kafka"
    report.in_archive += found.where == "archive"
    if found.value is None:
        said = "the archived record opens with no key that is left"
        await _gone(repo, claim, report, said, found.customer_id)
        return
    try:
        batch = events.decode(found.value)
    except Rejected as error:
        report.differs(f"{_name(claim)}: the record cannot be read: {error.message}")
        return
    wrong = _disagreement(claim, batch)
    if wrong:
        report.differs(f"{_name(claim)}: {wrong}")
        return
    async with repo.connection() as db:
        result = await applied(db, topic, claim.place, batch)
    missing = []
    for verdict in result.verdicts:
        report.samples[verdict.state] += 1
        if verdict.state == "missing":
            missing.append(slot_start(verdict.slot).isoformat())
    if missing:
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        text = f"{len(missing)} of {claim.accepted} samples are not in the ledger: {named}"
        report.differs(f"{_name(claim)}: {text}")


async def _gone(
    repo: Repo, claim: Claim, report: ReceiptsReport, said: str, *customer: str
) -> None:
    """A record that is nowhere to be read: rightly so where it was erased on request."""
    async with repo.connection() as db:
        if await was_erased(db, claim.device_id, *customer):
            report.samples["erased"] += claim.accepted
            return
    report.differs(f"{_name(claim)}: {said}")


def _disagreement(claim: Claim, batch: events.SampleBatch) -> str:
    """What of the claim the record at its place does not say; empty when all agrees."""
    if (batch.batch_id, batch.device_id) != (claim.batch_id, claim.device_id):
        return f"the record there is batch {batch.batch_id} of {batch.device_id}"
    if sha256(events.encode_columns(batch.columns)).hexdigest() != claim.content_sha:
        return "the record holds other samples than the receipt's content_sha"
    if len(batch.columns.slot) != claim.accepted:
        return f"the record holds {len(batch.columns.slot)} samples, the receipt {claim.accepted}"
    return ""


def _name(claim: Claim) -> str:
    return f"batch {claim.batch_id} at {claim.generation}/{claim.partition}/{claim.offset}"


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Lines that are not empty, with their names; one too long comes in pieces that are wrong."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LINE_MAX_BYTES), b""), 1):
                if text := line.strip():
                    yield f"line {number}", text
    except OSError as error:
        raise Rejected("unreadable", f"{path} cannot be read: {error}") from error
