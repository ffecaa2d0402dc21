"""The invariants of docs/reliability.md, one test each, on what a faulty fleet has left behind.

A fleet posts ten days late, twice, incomplete, corrected, deleted and out of order; its weeks are
rolled, late data comes, they are rolled again. I12 to I14 are tested with accounts and erasure.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from fitstream import weekfile
from fitstream.archived import decode_archive
from fitstream.broker import open_positions
from fitstream.client import Api, Client, open_api
from fitstream.client.data import Receipt
from fitstream.errors import Conflict, Rejected
from fitstream.events import rows
from fitstream.ids import new_id
from fitstream.merge import Row, merged
from fitstream.operations.receipts import ReceiptsReport, verify_receipts
from fitstream.operations.verify import Scope, verify
from fitstream.posts import decode_json
from fitstream.repo import jobs, progress
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.jobs import NewJob
from fitstream.samples import check, window
from fitstream.sealing import DataKeys, master_keys, unseal
from fitstream.simulate.compare import compare_all, settled
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.fleet import Fleet, Order
from fitstream.simulate.port import ApiGateway
from fitstream.store import Store, open_store
from tests.conftest import RunningStack
from tests.real import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
ORDER = Order(devices=3, days=10, seed=915, faults="many")


class Keeping(ApiGateway):
    """Keeps every receipt, as a careful device would, and what it was given for."""

    def __init__(self, api: Api, seed: int) -> None:
        super().__init__(api, seed)
        self.receipts: list[Receipt] = []
        self.accepted: list[tuple[str, int, Row]] = []

    async def post(self, key: str, body: bytes) -> Receipt:
        receipt = await super().post(key, body)
        self.receipts.append(receipt)
        read = decode_json(body, rows_max=100_000)
        checked = check(read, window(receipt.server_time, backfill_days=400))
        self.accepted += [(receipt.device_id, slot, row) for slot, row in rows(checked.columns)]
        return receipt


class Past(NamedTuple):
    """What a fleet did, and the stores it left its traces in."""

    fleet: Fleet
    posted: Keeping
    stack: RunningStack
    admin: Client
    repo: Repo
    store: Store

    @property
    def receipts(self) -> list[Receipt]:
        return self.posted.receipts

    @property
    def enrolled(self) -> list[Enrolled]:
        return [device.enrolled for device in self.fleet.devices if device.enrolled]

    @property
    def customers(self) -> list[str]:
        return [each.customer_id for each in self.enrolled]

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of this fleet's customers: the query's $1 are their numbers."""
        async with self.repo.connection() as db:
            numbers = await db.fetch(
                "SELECT customer_no FROM customer WHERE id = ANY($1)", self.customers
            )
            found = await db.fetch(query, [row["customer_no"] for row in numbers])
        return [dict(row) for row in found]

    async def differences(self, *checks: str) -> list[str]:
        """What `verify` says of this fleet's customers by these checks."""
        found = []
        for customer_id in self.customers:
            report = await verify(self.stack.settings, Scope(customer_id))
            found += [f"{each.where}: {each.detail}" for c in checks for each in report.findings(c)]
        return found


@pytest.fixture(scope="module")
async def past(stack: RunningStack, admin: Client) -> AsyncIterator[Past]:
    async with (
        _posted(stack) as (fleet, posted),
        open_repo(stack.settings) as repo,
        open_store(stack.settings) as store,
    ):
        past = Past(fleet, posted, stack, admin, repo, store)
        assert await settled(admin)
        await eventually(lambda: _is_rolled(past), 90)
        await _late_data(past)
        assert await settled(admin)
        await eventually(lambda: _is_rolled(past, versions=2), 90)
        yield past


@asynccontextmanager
async def _posted(stack: RunningStack) -> AsyncIterator[tuple[Fleet, Keeping]]:
    async with open_api(stack.gateway, stack.admin_key) as api:
        gateway = Keeping(api, ORDER.seed)
        fleet = Fleet(gateway, ORDER)
        await fleet.run(asyncio.Event())
        yield fleet, gateway


async def _late_data(past: Past) -> None:
    """A week that is rolled gets a row of a second device, so that it has another version."""
    customer_id = past.customers[0]
    (week, *_) = [w for w in (await past.admin.weeks(customer_id)).items if w.state == "rolled"]
    device = await past.admin.create_device(customer_id, "phone", "late")
    row = {"slot": week.start.isoformat(), "steps": 1}
    envelope = {"device_id": device.id, "sent_at": row["slot"], "samples": [row]}
    await past.admin.as_who(device.key).post_samples(envelope)


async def _is_rolled(past: Past, versions: int = 1) -> bool:
    rows = await past.rows(
        "SELECT coalesce(bool_and(dirty_seq = rolled_seq), false) AS calm,"
        " max(current_version) AS newest FROM week_state"
        " WHERE customer_no = ANY($1) AND closed_at IS NOT NULL"
    )
    return bool(rows[0]["calm"] and (rows[0]["newest"] or 0) >= versions)


@pytest.fixture(scope="module")
async def report(past: Past, tmp_path_factory: pytest.TempPathFactory) -> ReceiptsReport:
    """What `fitstream verify --receipts` says of every receipt of the fleet."""
    path = tmp_path_factory.mktemp("receipts") / "receipts.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(receipt) for receipt in past.receipts))
    return await verify_receipts(past.stack.settings, path)


async def test_i1_every_accepted_sample_is_in_the_ledger_or_a_dead_letter_one_row_per_key(
    past: Past, report: ReceiptsReport
) -> None:
    assert report.is_clean, report.shown
    assert (report.samples["missing"], report.samples["waiting"]) == (0, 0)
    assert report.samples["current"] > 1000
    twice = await past.rows(
        "SELECT customer_no, slot, device_no FROM sample WHERE customer_no = ANY($1)"
        " GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    assert twice == []


async def test_i2_the_ledger_is_the_pure_merge_of_what_was_accepted(past: Past) -> None:
    plans = {
        d.enrolled.device_id: (d, past.fleet.plan(d)) for d in past.fleet.devices if d.enrolled
    }

    def wanted(who: Enrolled) -> Any:
        device, plan = plans[who.device_id]
        return device.versions(plan)

    found = await compare_all(past.admin, past.enrolled, wanted)
    assert found.agrees, found.examples
    assert found.equal > 1000
    assert past.fleet.totals.sent["corrected"] + past.fleet.totals.sent["deleted"] > 0


async def test_i3_accepted_is_applied_superseded_duplicate_or_dead(
    past: Past, report: ReceiptsReport
) -> None:
    best: dict[tuple[str, int], Row] = {}
    for device, slot, row in past.posted.accepted:
        best[device, slot] = merged([row, best.get((device, slot), row)])
    current = sum(best[device, slot] == row for device, slot, row in past.posted.accepted)
    superseded = len(past.posted.accepted) - current

    assert sum(receipt.accepted for receipt in past.receipts) == current + superseded
    assert superseded > 0
    assert current > len(best), "nothing was sent twice"
    assert report.samples == dict.fromkeys(report.samples, 0) | {
        "current": current,
        "superseded": superseded,
    }
    held = await past.rows(
        "SELECT count(*) AS n FROM sample JOIN device USING (device_no)"
        " WHERE sample.customer_no = ANY($1) AND device.name <> 'late'"
    )
    assert held == [{"n": len(best)}]
    assert await past.differences("count") == []


async def test_i4_one_current_version_per_rolled_week_and_versions_without_gaps(
    past: Past,
) -> None:
    weeks = await past.rows(
        "SELECT w.week, w.current_version, array_agg(v.version ORDER BY v.version) AS versions"
        " FROM week_state w JOIN week_version v USING (customer_no, week)"
        " WHERE w.customer_no = ANY($1) GROUP BY w.customer_no, w.week, w.current_version"
    )
    assert max(week["current_version"] for week in weeks) >= 2
    for week in weeks:
        assert week["versions"] == list(range(1, week["current_version"] + 1)), week
    assert await past.differences("versions") == []


async def test_i5_every_file_of_every_version_is_there_with_its_checksum(past: Past) -> None:
    files = [
        file
        for row in await past.rows("SELECT files FROM week_version WHERE customer_no = ANY($1)")
        for file in row["files"]
    ]
    assert {file["kind"] for file in files} == {"week", "manifest", "originals"}
    for file in files:
        assert weekfile.is_sound(file, await past.store.get(file["key"])), file["key"]
    assert await past.differences("file") == []


async def test_i6_manifest_files_and_ledger_say_the_same(past: Past) -> None:
    assert await past.differences("manifest", "rows", "content") == []


async def test_i7_after_a_quiet_while_closed_weeks_are_rolled_as_they_are(past: Past) -> None:
    closed = await past.rows(
        "SELECT week, dirty_seq, rolled_seq, lease_owner FROM week_state"
        " WHERE customer_no = ANY($1) AND closed_at IS NOT NULL"
    )
    assert closed
    for week in closed:
        assert week["dirty_seq"] == week["rolled_seq"], week
        assert week["lease_owner"] is None


async def test_i8_rolling_unchanged_data_makes_no_version(past: Past) -> None:
    count = "SELECT count(*) AS n FROM week_version WHERE customer_no = ANY($1)"
    before = await past.rows(count)
    customer_id = past.customers[1]
    for week in (await past.admin.weeks(customer_id)).items:
        if week.state != "rolled":
            continue
        job = await past.admin.roll_week(customer_id, week.week)

        async def is_done(job: str = job) -> bool:
            return (await past.admin.job(job)).state == "succeeded"

        await eventually(is_done)
        assert (await past.admin.job(job)).result["changed"] is False
    assert await past.rows(count) == before


async def test_i9_of_one_dataset_and_recipe_at_most_one_run_succeeds(repo: Repo) -> None:
    new = NewJob(kind="train_cohort", queue=new_id("q"), dedupe_key=new_id("train"))

    async def plan() -> str:
        async with repo.transaction() as db:
            return await jobs.insert_or_repeat(db, new)

    (job_id,) = set(await asyncio.gather(*(plan() for _ in range(8))))

    async def work(owner: str, lease_s: float) -> bool:
        async with repo.transaction() as db:
            job = await jobs.claim_job(db, job_id, owner, lease_s)
        if job is None:
            return False
        await asyncio.sleep(0.05)
        try:
            async with repo.transaction() as db:
                await jobs.finish_job(db, job, "succeeded", {})
        except Conflict:
            return False
        return True

    # leases of no length: everybody takes over from everybody, one may commit
    done = await asyncio.gather(*(work(f"w{number}", 0) for number in range(8)))
    assert sum(done) == 1
    assert await plan() == job_id
    async with repo.connection() as db:
        assert (await jobs.get_job(db, job_id)).state == "succeeded"


async def test_i10_nothing_of_one_customer_can_be_read_as_another(past: Past) -> None:
    mine, other = past.enrolled[0], past.enrolled[1]
    as_mine = past.admin.as_who(mine.key)
    for call in (as_mine.customer, as_mine.weeks):
        with pytest.raises(Rejected) as error:
            await call(other.customer_id)
        assert error.value.status == 403
    body = {"device_id": other.device_id, "sent_at": "2026-11-23T00:00:00Z", "samples": []}
    with pytest.raises(Rejected) as error:
        await as_mine.post_samples(body)
    assert error.value.code == "device_mismatch"
    await _archived_records_stay_apart(past)
    for row in await past.rows(
        "SELECT c.id, v.files FROM week_version v JOIN customer c USING (customer_no)"
        " WHERE customer_no = ANY($1)"
    ):
        for file in row["files"]:
            assert file["key"].startswith(f"users/{row['id']}/weeks/")


async def _archived_records_stay_apart(past: Past) -> None:
    """A record opens with its own customer's key, at its own place, and in no other way."""
    keys = DataKeys(past.store, master_keys(past.stack.settings))
    prefix = f"raw/{past.stack.settings.topic}/"
    seen = 0
    async for name in past.store.list_keys(prefix):
        generation, partition = map(int, name.removeprefix(prefix).split("/")[:2])
        for record in decode_archive(await past.store.get(name)):
            if record.customer_id not in past.customers:
                continue
            seen += 1
            place = (generation, partition, record.offset)
            for customer_id in past.customers:
                key = await keys.existing_key(customer_id)
                if customer_id == record.customer_id:
                    assert unseal(key, place, record.sealed)
                    continue
                with pytest.raises(Rejected):
                    unseal(key, place, record.sealed)
        if seen > 200:
            break
    assert seen


async def test_i11_kafkas_group_is_never_beyond_the_ledger(past: Past) -> None:
    settings = past.stack.settings
    async with open_positions(settings, "ledger") as positions:
        committed = await positions.committed()
    assert committed
    async with past.repo.connection() as db:
        generation = await progress.current_generation(db, settings.topic)
        for partition, offset in committed.items():
            at = await progress.progress_of(db, generation, partition)
            assert at is not None
            assert offset <= at.next_offset
