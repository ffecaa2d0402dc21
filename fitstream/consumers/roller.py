"""The roller: closes weeks, and turns each dirty one into files and at most one new version.

A lease with an epoch lets any number of rollers work; the compare-and-set in Postgres is the only
commit point. A crash before it leaves orphan objects, after it nothing is left to do.
"""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from fitstream import weekchanges, weekfile
from fitstream.clock import slot_of, slot_start, zone_for
from fitstream.consumers.due_weeks import DueWeeks
from fitstream.crash import crash_point
from fitstream.errors import Conflict, NotFound, Unavailable
from fitstream.logs import get
from fitstream.metrics import count
from fitstream.repo import customers, jobs, samples, weeks
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.repo.weeks import Claim, NewVersion, OpenPlace, Waiting, WeekState
from fitstream.settings import Settings
from fitstream.store import Store, Stored
from fitstream.weekfile import WeekContent, short_sha

log = get(__name__)
_CLAIMED_AHEAD = 4  # weeks per roller at a time
_LOOKED_AT = 2_000  # open weeks per look
_RETRY_S = 10.0
_ALARM_RETRY_S = 600.0
_DAMAGED = "a file of the version before was damaged"


class _Before(NamedTuple):
    """Slots of the version before, and its rows where they were kept."""

    slots: list[dict[str, Any]]
    rows: list[dict[str, Any]] | None


class Roller:
    """Rolls what is due until it is told to stop."""

    def __init__(self, repo: Repo, store: Store, settings: Settings) -> None:
        self._repo = repo
        self._store = store
        self._settings = settings
        self._looked = OpenPlace()
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    async def run(self, stop: asyncio.Event) -> None:
        """Polls for due weeks; an outage is waited out."""
        while not stop.is_set():
            try:
                await self.close_due(_now(self._settings))
                busy = await self.roll_due(stop)
            except Unavailable as error:
                log.warning("waiting", service=error.service, detail=str(error))
                busy = False
            if not busy:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._settings.roll_poll_s)

    async def close_due(self, now: datetime) -> int:
        """Closes weeks that are complete, or whose grace is over; how many.

        Looks at a few thousand of those that have ended, the next call at the next ones.
        """
        grace = slot_of(now - timedelta(hours=self._settings.grace_hours))
        silent = now - timedelta(hours=self._settings.device_silent_hours)
        waiting = Waiting(slot_of(now), grace, silent)
        async with self._repo.transaction() as db:
            found = await weeks.close_due(db, waiting, self._looked, _LOOKED_AT)
        is_end = found is None or found.looked < _LOOKED_AT
        self._looked = OpenPlace() if found is None or is_end else found.place
        if found is None or not found.closed:
            return 0
        count("weeks_closed", found.closed)
        log.info("weeks_closed", weeks=found.closed)
        return found.closed

    async def roll_due(self, stop: asyncio.Event | None = None) -> bool:
        """Rolls weeks until none is due, `stop` is set or seconds have passed; whether any was.

        Raises what ended one of the rollers, after what the others had under way.
        """
        count_of = self._settings.roll_concurrency
        due = DueWeeks(self._claim, count_of, stop)
        rollers = (self._roll_each(due) for _ in range(count_of))
        for error in await asyncio.gather(*rollers, return_exceptions=True):
            if error is not None:
                raise error
        return due.were_any

    async def _claim(self) -> list[Claim]:
        settings = self._settings
        quiet = (settings.late_quiet_s, settings.late_max_s)
        most = settings.roll_concurrency * _CLAIMED_AHEAD
        async with self._repo.transaction() as db:
            claims = await weeks.claim_due(db, self._owner, settings.roll_lease_s, quiet, most)
        for claim in claims:
            if claim.is_taken_over:
                count("leases_taken_over", of="week")
                log.warning("lease_taken_over", of="week", week=claim.week)
        crash_point("roller_after_claim")
        return claims

    async def _roll_each(self, due: DueWeeks) -> None:
        while (claim := await due.next()) is not None:
            await self._roll_or_release(claim)

    async def _roll_or_release(self, claim: Claim) -> None:
        try:
            outcome = await self.roll(claim)
        except Unavailable as error:
            outcome = "unavailable"
            log.warning("roll_postponed", week=claim.week, detail=str(error))
            await self._release(claim, _RETRY_S)
        except Conflict as error:
            outcome = error.code
            log.warning("roll_given_up", week=claim.week, reason=error.code, detail=error.message)
            if error.code == "object_differs":
                await self._release(claim, _ALARM_RETRY_S)
        except Exception:  # one week that we cannot roll must not stop the others
            outcome = "failed"
            log.exception("roll_failed", week=claim.week)
            await self._release(claim, _ALARM_RETRY_S)
        count("weeks_rolled", outcome=outcome)

    async def roll(self, claim: Claim) -> str:
        """One week from snapshot to commit; `rolled`, or `unchanged` when no version was due.

        Raises Conflict(lease_lost) when another roller took over.
        """
        state, content = await self._snapshot(claim)
        sha = weekfile.content_sha(content)
        before = await self._before(state)
        if sha == state.content_sha and before is not None:
            await self._commit(state, claim, None)
            return "unchanged"
        changed = weekchanges.changes(before and before.slots, content, before and before.rows)
        number = (state.current_version or 0) + 1
        files = await self._put_files(state, content, number, sha)
        new = NewVersion(
            version=number,
            content_sha=sha,
            rows=len(content.rows),
            slots=len(content.slots),
            measured=weekfile.measured(content),
            files=files,
            reason=_DAMAGED if sha == state.content_sha else _reason(state, changed),
            changed=changed,
        )
        await self._commit(state, claim, new)
        log.info("week_rolled", week=state.week, version=number, reason=new.reason)
        return "rolled"

    async def _snapshot(self, claim: Claim) -> tuple[WeekState, WeekContent]:
        """State and rows of one instant; the transaction ends before anything is put."""
        async with self._repo.transaction("repeatable_read", readonly=True) as db:
            state = await weeks.snapshot_state(db, claim.customer_no, claim.week)
            if state.lease_epoch != claim.lease_epoch:
                raise Conflict("lease_lost", f"the lease on {claim.week} was taken over")
            span = (state.start_slot, state.end_slot)
            rows = await samples.rows_of(db, claim.customer_no, span)
            zones = await customers.zones_of(db, claim.customer_no)
        bounds = (state.week, state.start_slot, state.end_slot)
        zone = zone_for(state.week, zones)
        return state, weekfile.week_content(state.customer_id, bounds, zone, rows)

    async def _before(self, state: WeekState) -> _Before | None:
        """What the current version holds; None when there is none, or a file of it is damaged."""
        if not state.files:
            return None
        bodies = {}
        for file in state.files:
            try:
                body = await self._store.get(file["key"])
            except NotFound:
                body = b""
            if not weekfile.is_sound(file, body):
                log.error("version_file_damaged", key=file["key"])
                return None
            bodies[file["kind"]] = body
        originals = bodies.get("originals")
        rows = None if originals is None else weekfile.decode_originals(originals)
        return _Before(weekfile.decode_week(bodies["week"]), rows)

    async def _put_files(
        self, state: WeekState, content: WeekContent, number: int, sha: str
    ) -> list[dict[str, Any]]:
        folder = f"users/{state.customer_id}/weeks/{state.week}"
        body = await asyncio.to_thread(weekfile.encode_week, content)
        entries = [await self._put(folder, number, "week", body)]
        if weekfile.needs_originals(content):
            originals = await asyncio.to_thread(weekfile.encode_originals, content.rows)
            entries.append(await self._put(folder, number, "originals", originals))
        crash_point("roller_after_data")
        manifest = msgspec.json.encode(
            {
                "schema": weekfile.SCHEMA_VERSION,
                "customer_id": state.customer_id,
                "week": state.week,
                "from": slot_start(state.start_slot),
                "to": slot_start(state.end_slot),
                "zone": content.zone,
                "version": number,
                "previous_version": state.current_version,
                "content_sha": sha,
                "rows": len(content.rows),
                "slots": state.end_slot - state.start_slot,
                "measured": weekfile.measured(content),
                "files": entries,
            }
        )
        key = f"{folder}/manifest-v{number:04d}-{short_sha(manifest)}.json"
        stored = await self._store.put_new(key, manifest, "application/json")
        crash_point("roller_after_manifest")
        return [*entries, _file("manifest", stored)]

    async def _put(self, folder: str, number: int, kind: str, body: bytes) -> dict[str, Any]:
        suffix = "" if kind == "week" else f"-{kind}"
        key = f"{folder}/v{number:04d}-{short_sha(body)}{suffix}.parquet"
        stored = await self._store.put_new(key, body, "application/vnd.apache.parquet")
        return _file(kind, stored)

    async def _commit(self, state: WeekState, claim: Claim, new: NewVersion | None) -> None:
        """The commit point: version, state and job row together, or not at all."""
        crash_point("roller_before_commit")
        version = new.version if new else state.current_version
        async with self._repo.transaction() as db:
            await weeks.finish_roll(db, state, claim, version)
            if new is not None:
                await weeks.insert_version(db, state.customer_no, state.week, new)
            if version is not None and _is_news(state, new):
                await jobs.insert_job(db, _finished(state, version))
            if state.forced_job_id is not None:
                result = {"version": version, "changed": new is not None}
                await jobs.complete_roll(db, state.forced_job_id, result)
        crash_point("roller_after_commit")

    async def _release(self, claim: Claim, retry_after_s: float) -> None:
        with suppress(Unavailable):  # the lease runs out by itself
            async with self._repo.transaction() as db:
                await weeks.release_lease(db, claim, retry_after_s)


def _file(kind: str, stored: Stored) -> dict[str, Any]:
    return {"kind": kind, "key": stored.key, "bytes": stored.size, "sha256": stored.sha256}


def _is_news(state: WeekState, new: NewVersion | None) -> bool:
    """Whether training must hear of it: the first roll of a closed week, and each late version.

    That first roll may find what a roll by hand has published while the week was open.
    """
    if state.closed_at is None:
        return False
    return state.rolled_at is None or (new is not None and state.forced_job_id is None)


def _finished(state: WeekState, version: int) -> NewJob:
    return NewJob(
        kind="week_finished",
        queue="none",
        dedupe_key=f"week_finished:{state.customer_id}:{state.week}:{version}",
        payload={"customer": state.customer_id, "week": state.week, "version": version},
        programme_no=state.programme_no,
        customer_no=state.customer_no,
    )


def _reason(state: WeekState, changed: dict[str, Any]) -> str:
    """Why there is a version, in words that a person reads on the page."""
    if state.forced_job_id is not None:
        return "forced"
    if state.current_version is None:
        return "week closed"
    words = {
        "late": "late data",
        "corrected": "corrected",
        "deleted": "deleted",
        "device_priority": "device priority",
    }
    why = changed["why"]
    parts = [
        f"{word}: {why[kind]} slot{'s' if why[kind] > 1 else ''}"
        for kind, word in words.items()
        if why[kind]
    ]
    return ", ".join(parts) or "device priority or bounds"


def _now(settings: Settings) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=settings.clock_offset_s)
