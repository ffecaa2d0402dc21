"""Rolling on real Postgres and S3: leases, the one commit point, crashes on both sides of it."""

from datetime import UTC, datetime

import pytest

from fitstream.consumers import roller
from fitstream.consumers.roller import Roller
from fitstream.errors import Conflict, Unavailable
from fitstream.repo import customers, weeks
from fitstream.repo.database import Db, Repo
from fitstream.repo.weeks import OpenPlace, Waiting, WeekRow
from fitstream.settings import Settings
from fitstream.store import Store, Stored, open_store
from tests.ledgered import FIRST, new_ledger_wearer
from tests.ledgered import LedgerWearer as Wearer

pytestmark = pytest.mark.stack


@pytest.fixture
async def wearer(repo: Repo) -> Wearer:
    return await new_ledger_wearer(repo)


class _FailingStore(Store):
    """S3 that is away for the manifest."""

    async def put_new(self, key: str, body: bytes, content_type: str = "") -> Stored:
        if "manifest" in key:
            raise Unavailable("s3", "cut")
        return await super().put_new(key, body, content_type)


async def test_a_roll_that_dies_before_its_commit_leaves_no_version_and_the_next_makes_one(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST, FIRST + 1])
    async with open_store(services) as store:
        failing = _FailingStore(store._client, services.s3_bucket, services.s3_checksum)
        with pytest.raises(Unavailable):
            await Roller(repo, failing, services).roll(await wearer.claim())
        assert (await wearer.week()).current_version is None
        outcome = await Roller(repo, store, services).roll(await wearer.claim())
    assert outcome == "rolled"
    assert (await wearer.week()).current_version == 1


async def test_a_stolen_lease_cannot_publish(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST])
    async with open_store(services) as store:
        roller = Roller(repo, store, services)
        old = await wearer.claim("old")
        new = await wearer.claim("new")
        with pytest.raises(Conflict) as error:
            await roller.roll(old)
        assert error.value.code == "lease_lost"
        assert await roller.roll(new) == "rolled"
        assert (await wearer.week()).current_version == 1


async def test_a_lease_that_is_stolen_after_the_snapshot_cannot_publish_either(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST])
    async with open_store(services) as store:
        thief = Roller(repo, store, services)

        class Slept(Store):
            async def put_new(self, key: str, body: bytes, content_type: str = "") -> Stored:
                if "manifest" in key:  # while the old one slept, another did the work
                    await wearer.write([FIRST + 3])
                    assert await thief.roll(await wearer.claim("thief")) == "rolled"
                return await super().put_new(key, body, content_type)

        slow = Slept(store._client, services.s3_bucket, services.s3_checksum)
        with pytest.raises(Conflict) as error:
            await Roller(repo, slow, services).roll(await wearer.claim("old"))
    assert error.value.code == "lease_lost"
    week = await wearer.week()
    assert (week.current_version, week.state, week.measured) == (1, "rolled", 2)


@pytest.mark.parametrize(
    ("changed_s_ago", "dirty_s_ago", "is_due"),
    [(59, 59, False), (61, 61, True), (1, 299, False), (1, 301, True)],
    ids=["still changing", "quiet", "changing for a while", "changing for too long"],
)
async def test_a_week_is_rolled_once_it_is_quiet_or_has_waited_for_the_longest(
    repo: Repo, wearer: Wearer, changed_s_ago: int, dirty_s_ago: int, is_due: bool
) -> None:
    await wearer.write([FIRST])
    async with repo.connection() as db:
        looking = db.transaction()  # the leases of all others are given back at its end
        await looking.start()
        await db.execute(
            "UPDATE week_state SET closed_at = now() - interval '1 day',"
            " last_changed_at = now() - make_interval(secs => $2),"
            " first_dirty_at = now() - make_interval(secs => $3) WHERE customer_no = $1",
            wearer.customer_no,
            changed_s_ago,
            dirty_s_ago,
        )
        claims = await weeks.claim_due(db, "test", 60, (60, 300), 1_000_000)
        await looking.rollback()
    assert (wearer.customer_no in {claim.customer_no for claim in claims}) is is_due


async def test_unchanged_content_makes_no_version_and_is_clean_again(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST])
    async with open_store(services) as store:
        roller = Roller(repo, store, services)
        assert await roller.roll(await wearer.claim()) == "rolled"
        async with repo.transaction() as db:
            await db.execute(
                "UPDATE week_state SET dirty_seq = dirty_seq + 1 WHERE customer_no = $1",
                wearer.customer_no,
            )
        assert await roller.roll(await wearer.claim()) == "unchanged"
    week = await wearer.week()
    assert (week.current_version, week.state) == (1, "rolled")


async def test_rows_that_arrive_during_a_roll_leave_the_week_dirty(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST])

    class Interrupted(Store):
        async def put_new(self, key: str, body: bytes, content_type: str = "") -> Stored:
            if "manifest" in key:
                await wearer.write([FIRST + 9])
            return await super().put_new(key, body, content_type)

    async with open_store(services) as store:
        slow = Interrupted(store._client, services.s3_bucket, services.s3_checksum)
        assert await Roller(repo, slow, services).roll(await wearer.claim()) == "rolled"
        assert (await wearer.week()).state == "late"
        assert await Roller(repo, store, services).roll(await wearer.claim()) == "rolled"
    assert (await wearer.week()).current_version == 2


async def test_a_week_closes_when_its_devices_are_complete_and_not_before(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST])
    week = await wearer.week()
    async with repo.transaction() as db:
        silent = datetime(1970, 1, 1, tzinfo=UTC)
        await close_all(db, week, silent)
        assert not await is_closed(db, wearer.customer_no, week)
        await db.execute(
            "UPDATE device SET complete_through = $2 WHERE customer_no = $1",
            wearer.customer_no,
            week.end_slot,
        )
        await close_all(db, week, silent)
        assert await is_closed(db, wearer.customer_no, week)


async def test_a_silent_device_does_not_hold_a_week_open(repo: Repo, wearer: Wearer) -> None:
    await wearer.write([FIRST])
    week = await wearer.week()
    async with repo.transaction() as db:
        future = datetime(2200, 1, 1, tzinfo=UTC)
        await close_all(db, week, future)
        assert await is_closed(db, wearer.customer_no, week)


async def test_few_weeks_at_a_time_are_looked_at_and_all_in_the_end(
    repo: Repo, services: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roller, "_LOOKED_AT", 3)
    week = "1999-W01"
    async with repo.transaction() as db:
        await db.execute("DELETE FROM week_state WHERE week = $1", week)
        await db.execute(
            "INSERT INTO week_state (customer_no, week, start_slot, end_slot)"
            " SELECT -n, $1, 1, 673 FROM generate_series(1, 10) n",
            week,
        )
    async with open_store(services) as store:
        one = Roller(repo, store, services)
        for _ in range(200):
            await one.close_due(datetime.now(UTC))
            async with repo.connection() as db:
                query = "SELECT count(*) FROM week_state WHERE week = $1 AND closed_at IS NULL"
                if not await db.fetchval(query, week):
                    break
        else:
            pytest.fail("some weeks were never looked at")
    async with repo.transaction() as db:
        seqs = await db.fetch("SELECT dirty_seq FROM week_state WHERE week = $1", week)
        await db.execute("DELETE FROM week_state WHERE week = $1", week)
    assert [row["dirty_seq"] for row in seqs] == [2] * 10  # closing is one change, once


async def close_all(db: Db, week: WeekRow, silent_since: datetime) -> None:
    """Looks at every open week as if this one had just ended."""
    waiting = Waiting(week.end_slot + 1, week.end_slot - 1, silent_since)
    await weeks.close_due(db, waiting, OpenPlace(), 1_000_000)


async def is_closed(db: Db, customer_no: int, week: WeekRow) -> bool:
    found = await weeks.get_week(db, customer_no, week.week)
    return found.closed_at is not None


async def test_a_move_keeps_closed_weeks_and_shifts_the_weeks_to_come(
    repo: Repo, wearer: Wearer
) -> None:
    now = datetime.now(UTC)
    async with repo.transaction() as db:
        from_week = await customers.move(db, wearer.customer_no, "Asia/Tokyo", now)
        zones = await customers.zones_of(db, wearer.customer_no)
    assert [zone.zone for zone in zones] == ["UTC", "Asia/Tokyo"]
    assert zones[1].from_week == from_week
    assert from_week > f"{now:%G-W%V}"


async def test_a_move_that_is_taken_back_before_it_takes_force_leaves_no_trace(
    repo: Repo, wearer: Wearer
) -> None:
    sunday = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
    async with repo.transaction() as db:
        await customers.move(db, wearer.customer_no, "America/Los_Angeles", sunday)
        await customers.move(db, wearer.customer_no, "Pacific/Auckland", sunday)
        await customers.move(db, wearer.customer_no, "America/Los_Angeles", sunday)
        zones = await customers.zones_of(db, wearer.customer_no)
    assert zones[-1].zone == "America/Los_Angeles"
    assert "Pacific/Auckland" not in {span.zone for span in zones}


async def test_a_week_that_was_rolled_by_hand_while_open_is_still_announced_when_it_closes(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    await wearer.write([FIRST])
    async with open_store(services) as store:
        roller = Roller(repo, store, services)
        claim = await wearer.claim()
        await _reopen(repo, wearer)
        assert await roller.roll(claim) == "rolled"
        assert await _announced(repo, wearer) == []
        assert await roller.roll(await wearer.claim()) == "unchanged"
        assert await _announced(repo, wearer) == [1]
        assert await roller.roll(await wearer.claim()) == "unchanged"
        assert await _announced(repo, wearer) == [1]


async def _reopen(repo: Repo, wearer: Wearer) -> None:
    async with repo.transaction() as db:
        statement = "UPDATE week_state SET closed_at = NULL WHERE customer_no = $1"
        await db.execute(statement, wearer.customer_no)


async def _announced(repo: Repo, wearer: Wearer) -> list[int]:
    """Versions that training has been told of."""
    async with repo.connection() as db:
        statement = "SELECT payload FROM job WHERE kind = 'week_finished' AND customer_no = $1"
        rows = await db.fetch(statement, wearer.customer_no)
    return sorted(row["payload"]["version"] for row in rows)


async def test_one_week_that_cannot_be_rolled_does_not_stop_the_others(
    repo: Repo, services: Settings, wearer: Wearer
) -> None:
    class Broken(Store):
        async def put_new(self, key: str, body: bytes, content_type: str = "") -> Stored:
            raise ZeroDivisionError

    await wearer.write([FIRST])
    async with open_store(services) as store:
        broken = Broken(store._client, services.s3_bucket, services.s3_checksum)
        roller = Roller(repo, broken, services)
        await roller._roll_or_release(await wearer.claim())
        assert (await wearer.week()).current_version is None
