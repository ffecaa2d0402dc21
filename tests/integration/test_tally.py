"""The overview's counts, walked slice by slice, are what one look at each whole table gives."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fitstream.client import Client
from fitstream.repo import tally
from fitstream.repo.database import Db, Repo, fetch_one
from fitstream.repo.queries import sql

pytestmark = pytest.mark.stack
_MAKE = """
WITH p AS (INSERT INTO programme (id, name) VALUES ($1, $1) RETURNING programme_no),
c AS (INSERT INTO customer (id, programme_no, zone, deactivated_at)
      SELECT $1 || n, programme_no, 'UTC', CASE WHEN n = 3 THEN now() END
      FROM p, generate_series(1, 5) n RETURNING customer_no, id),
s AS (INSERT INTO customer_stat SELECT customer_no, now() - right(id, 1)::int * interval '9 hours',
      0, 9, right(id, 1)::int FROM c),
d AS (INSERT INTO device (id, customer_no, kind, name, priority, removed_at)
      SELECT 'd' || id || n, customer_no, 'watch', 'w', 10, CASE WHEN n = 2 THEN now() END
      FROM c, generate_series(1, 2) n),
w AS (INSERT INTO week_state (customer_no, week, start_slot, end_slot, dirty_seq, rolled_seq,
        closed_at, rolled_at)
      SELECT customer_no, '2026-W0' || n, n * 672, n * 672 + 672, CASE n WHEN 4 THEN 3 ELSE 2 END,
        2, CASE WHEN n > 1 THEN now() END, CASE WHEN n > 2 THEN now() END
      FROM c, generate_series(1, 4) n),
v AS (INSERT INTO week_version (customer_no, week, version, content_sha, rows, slots, measured,
        files, reason, changed)
      SELECT customer_no, '2026-W03', 1, '', 0, 672, 0, '[]', '', '{}' FROM c)
INSERT INTO job (id, kind, queue, dedupe_key, programme_no, state)
SELECT $1 || n, 'mail', 'nobody', $1 || n, programme_no,
       (ARRAY['waiting', 'succeeded', 'failed', 'cancelled', 'succeeded'])[n]
FROM p, generate_series(1, 5) n"""
_WHOLE = """
SELECT (SELECT count(*) FROM customer c WHERE c.deactivated_at IS NULL AND {customer}),
       (SELECT count(*) FROM customer c JOIN customer_stat s USING (customer_no)
        WHERE c.deactivated_at IS NULL AND s.last_contact_at > now() - interval '1 day'
          AND {customer}),
       (SELECT coalesce(sum(samples), 0) FROM customer_stat JOIN customer c USING (customer_no)
        WHERE {customer}),
       (SELECT count(*) FROM device JOIN customer c USING (customer_no)
        WHERE removed_at IS NULL AND {customer}),
       (SELECT count(*) FROM week_state JOIN customer c USING (customer_no)
        WHERE rolled_at IS NOT NULL AND dirty_seq = rolled_seq AND {customer}),
       (SELECT count(*) FROM week_state JOIN customer c USING (customer_no)
        WHERE rolled_at IS NOT NULL AND dirty_seq > rolled_seq AND {customer}),
       (SELECT count(*) FROM week_version JOIN customer c USING (customer_no) WHERE {customer}),
       (SELECT count(*) FROM forecast JOIN customer c USING (customer_no) WHERE {customer}),
       (SELECT count(*) FROM job c WHERE state = 'succeeded' AND {job})"""


def _figures(found: tally.Tally) -> list[int]:
    return [
        found.people.total, found.people.seen_24h, found.people.rows, found.things.devices,
        found.weeks.rolled, found.weeks.late, found.weeks.versions, found.things.forecasts,
        found.jobs.succeeded,
    ]  # fmt: skip


async def _whole(db: Db, within: Sequence[int] | None) -> list[int]:
    mine = "true" if within is None else f"c.programme_no = {within[0]}"
    return [int(value) for value in await db.fetchrow(_WHOLE.format(customer=mine, job=mine))]


@pytest.fixture
async def programme(repo: Repo, request: pytest.FixtureRequest) -> int:
    return await _programme(repo, f"tally{abs(hash(request.node.name)) % 10**6}-")


async def _programme(repo: Repo, name: str) -> int:
    """A programme of five customers, one of them deactivated; its jobs have one time of birth."""
    async with repo.transaction() as db:
        await db.execute(_MAKE, name)
        number: int = await db.fetchval("SELECT programme_no FROM programme WHERE id = $1", name)
    return number


@pytest.mark.parametrize("at_once", [(2, 2), (500, 5000)])
async def test_slices_of_any_size_add_up_to_the_whole(
    repo: Repo, programme: int, monkeypatch: pytest.MonkeyPatch, at_once: tuple[int, int]
) -> None:
    for name, size in zip(("CUSTOMERS_AT_ONCE", "JOBS_AT_ONCE"), at_once, strict=True):
        monkeypatch.setattr(tally, name, size)
    now = datetime.now(UTC)
    for within in (None, [programme]):
        found = await tally.count_all(repo, now, within)
        async with repo.connection() as db:
            assert _figures(found) == await _whole(db, within), within
    assert found.people == tally.People(4, 0, 2, 15)
    assert (found.things.devices, found.at) == (5, now)
    assert found.weeks == tally.WeekCounts(open=5, closing=5, rolled=5, late=5, versions=5)
    assert found.jobs == tally.Jobs(waiting=1, succeeded=2, failed=1, cancelled=1)


async def test_a_slice_of_some_programmes_reads_nothing_of_the_customers_between(
    repo: Repo, programme: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _programme(repo, "tally-between-")
    behind = await _programme(repo, "tally-behind-")
    asked: dict[str, tuple[object, ...]] = {}

    async def noted(db: Db, kind: type[Any], name: str, *args: object) -> Any:
        asked.setdefault(name, args)
        return await fetch_one(db, kind, name, *args)

    monkeypatch.setattr(tally, "fetch_one", noted)
    await tally.count_all(repo, datetime.now(UTC), [programme, behind])
    async with repo.transaction() as db:
        await db.execute("SET LOCAL enable_seqscan = off")  # few rows: else it would read them all
        explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + sql("tally.weeks_slice")
        (found,) = msgspec.json.decode(await db.fetchval(explain, *asked["tally.weeks_slice"]))
    assert _rows_read(found["Plan"], "week_state") == 40
    assert _rows_read(found["Plan"], "week_version") == 10


def _rows_read(plan: dict[str, Any], table: str) -> float:
    here = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    mine = here * plan["Actual Loops"] if plan.get("Relation Name") == table else 0
    return float(mine + sum(_rows_read(part, table) for part in plan.get("Plans", [])))


async def test_where_there_is_nobody_everything_is_nought(repo: Repo) -> None:
    found = await tally.count_all(repo, datetime.now(UTC), [-1])
    assert set(_figures(found)) == {0}
    assert found.newest_at is None


async def test_the_overview_says_when_it_was_counted(admin: Client) -> None:
    found: dict[str, Any] = msgspec.to_builtins(await admin.pipeline())
    assert found["counted_at"] is not None
    assert set(found["jobs"]) == {
        "queued", "running", "waiting", "succeeded", "failed", "cancelled",
    }  # fmt: skip
