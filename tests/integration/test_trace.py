"""The way of a post and of a slot through the running system, hop by hop."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fitstream.broker.reader import open_reader
from fitstream.client import Client
from fitstream.client.trace import Trace
from fitstream.clock import slot_of
from fitstream.errors import NotFound, Rejected
from fitstream.events import SampleBatch, SampleColumns
from fitstream.ids import new_id
from fitstream.operations.run_trace import lines_of
from fitstream.operations.trace import Sources, trace_slot
from fitstream.repo import customers, devices, forecasts, jobs, models, progress, weeks
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Db, Repo
from fitstream.repo.jobs import NewJob
from fitstream.repo.ledger import Chunk, LedgerWriter
from fitstream.settings import Settings
from fitstream.store import open_store
from tests.conftest import RunningStack, clean_environ
from tests.real import (
    Wearer,
    at,
    day_of_samples,
    last_monday,
    new_wearer,
    wait_for_rows,
    wait_for_version,
    with_device,
)

pytestmark = pytest.mark.stack
MONDAY = last_monday()


def week_of_monday() -> str:
    year, week, _ = MONDAY.isocalendar()
    return f"{year}-W{week:02d}"


async def rolled(wearer: Wearer, version: int) -> None:
    await wearer.admin.roll_week(wearer.customer.id, week_of_monday())
    await wait_for_version(wearer, week_of_monday(), version)


async def test_a_slot_leads_from_its_record_to_the_version_that_holds_it(admin: Client) -> None:
    wearer = await new_wearer(admin)
    receipt = await wearer.post(day_of_samples(MONDAY))
    await wait_for_rows(wearer, 96)
    await wait_for_version(wearer, week_of_monday(), 1)
    found = await admin.trace_slot(wearer.customer.id, at(MONDAY, 5))
    (record,) = found.records.items
    assert record.batch_id == receipt.batch_id
    assert (record.generation, record.partition, record.offset) == (
        receipt.generation, receipt.partition, receipt.offset,
    )  # fmt: skip
    assert (record.topic, record.found_in) == ("samples.v1", "kafka")
    assert record.content_sha == receipt.content_sha
    (row,) = found.ledger.items
    assert (row.device_id, row.state, row.rev) == (wearer.device.id, "current", 0)
    assert (row.generation, row.offset) == (receipt.generation, receipt.offset)
    (week,) = found.weeks.items
    assert (week.week, week.state, week.current_version) == (week_of_monday(), "rolled", 1)
    assert [(version.version, version.holds) for version in week.versions.items] == [(1, 1)]
    assert all(key.startswith("users/") for key in week.versions.items[0].objects)
    for hop in (week.datasets, week.runs, week.models, week.forecasts):
        assert hop.unknown


async def test_a_corrected_post_is_superseded_and_only_the_old_version_holds_it(
    admin: Client,
) -> None:
    wearer = await new_wearer(admin)
    first = await wearer.post(day_of_samples(MONDAY)[:4])
    await wait_for_rows(wearer, 4)
    await wait_for_version(wearer, week_of_monday(), 1)
    second = await wearer.post([{"slot": at(MONDAY, 0), "steps": 2999, "rev": 7}])
    await wait_for_version(wearer, week_of_monday(), 2)
    found = await admin.trace_batch(first.batch_id)
    assert found.rows == {"superseded": 1, "current": 3}
    states = [row.state for row in found.ledger.items]
    assert states == ["superseded", "current", "current", "current"]
    assert (found.ledger.items[0].rev, found.ledger.items[0].offset) == (7, second.offset)
    versions = found.weeks.items[0].versions.items
    assert [(version.version, version.holds) for version in versions] == [(2, 3), (1, 4)]
    corrected = await admin.trace_batch(second.batch_id)
    versions = corrected.weeks.items[0].versions.items
    assert [(version.version, version.holds) for version in versions] == [(2, 1), (1, 0)]


async def test_a_conflict_is_noted_and_overlapping_devices_each_have_their_row(
    admin: Client,
) -> None:
    wearer = await new_wearer(admin)
    other = await with_device(admin, wearer.customer, "phone")
    await wearer.post([{"slot": at(MONDAY, 0), "steps": 5}])
    await wait_for_rows(wearer, 1)
    await wearer.post([{"slot": at(MONDAY, 0), "steps": 6}])
    await other.post([{"slot": at(MONDAY, 0), "steps": 1}])
    await wait_for_rows(wearer, 2)

    async def both() -> Trace:
        return await admin.trace_slot(wearer.customer.id, at(MONDAY, 0))

    found = await both()
    for _ in range(50):
        if any(row.conflict_at for row in found.ledger.items):
            break
        await asyncio.sleep(0.1)
        found = await both()
    assert [(row.device_id, bool(row.conflict_at)) for row in found.ledger.items] == [
        (wearer.device.id, True), (other.device.id, False),
    ]  # fmt: skip
    assert len(found.records.items) == 2
    only = await admin.trace_slot(wearer.customer.id, at(MONDAY, 0), other.device.id)
    assert [row.device_id for row in only.ledger.items] == [other.device.id]


async def test_a_heartbeat_and_what_is_not_there_say_why(admin: Client) -> None:
    wearer = await new_wearer(admin)
    now = datetime.now(UTC)
    heartbeat = await wearer.post([], complete_through=now.isoformat())
    found = await admin.trace_batch(heartbeat.batch_id)
    assert found.records.items[0].samples == 0
    assert "complete_through" in (found.ledger.unknown or "")
    nothing = await admin.trace_slot(wearer.customer.id, at(MONDAY, 0))
    assert "no row of this slot" in (nothing.ledger.unknown or "")
    assert nothing.weeks.unknown
    young = (int(now.timestamp() * 1000).to_bytes(6, "big") + b"nobody").hex()
    old = (int((now - timedelta(days=40)).timestamp() * 1000).to_bytes(6, "big") + b"nobody").hex()
    assert (await admin.trace_batch(young)).records.unknown == "no post of that id is in the topic"
    assert "14 days" in ((await admin.trace_batch(old)).records.unknown or "")


async def test_a_refused_slot_says_so(admin: Client) -> None:
    wearer = await new_wearer(admin)
    rows = [{"slot": at(MONDAY, 0), "steps": -1}, {"slot": at(MONDAY, 1), "steps": 1}]
    await wearer.post(rows)
    await wait_for_rows(wearer, 1)
    found = await admin.trace_slot(wearer.customer.id, at(MONDAY, 0))
    assert "refused: out_of_range" in (found.ledger.unknown or "")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "bad_trace"),
        ({"customer": "cus_x"}, "bad_trace"),
        ({"batch": "xyz"}, "bad_batch"),
        ({"batch": "ab" * 11}, "bad_batch"),
        ({"customer": "cus_x", "slot": "yesterday"}, "bad_range"),
        ({"customer": "cus_x", "slot": "2026-11-23T00:00:00"}, "bad_range"),
    ],
)
async def test_a_question_that_is_none_is_refused(
    admin: Client, query: dict[str, str], code: str
) -> None:
    with pytest.raises(Rejected) as refused:
        await admin._read("/v1/trace", Trace, query)
    assert refused.value.code == code


async def test_an_unknown_customer_and_a_device_of_another_are_not_found(admin: Client) -> None:
    one, two = await new_wearer(admin), await new_wearer(admin)
    with pytest.raises(NotFound):
        await admin.trace_slot("cus_nobody", at(MONDAY, 0))
    with pytest.raises(NotFound):
        await admin.trace_slot(one.customer.id, at(MONDAY, 0), two.device.id)


async def test_a_device_may_not_trace(admin: Client) -> None:
    wearer = await new_wearer(admin)
    with pytest.raises(Rejected) as refused:
        await wearer.phone.trace_slot(wearer.customer.id, at(MONDAY, 0))
    assert refused.value.status == 403


async def test_the_command_prints_the_way(stack: RunningStack, admin: Client) -> None:
    wearer = await new_wearer(admin)
    receipt = await wearer.post(day_of_samples(MONDAY)[:2])
    await wait_for_rows(wearer, 2)
    code, out = await command(stack, "--batch", receipt.batch_id)
    assert code == 0
    assert f"offset {receipt.offset} (kafka)" in out
    assert week_of_monday() in out
    code, out = await command(
        stack, "--customer", wearer.customer.id, "--slot", at(MONDAY, 1), "--json"
    )
    assert code == 0
    assert msgspec.json.decode(out, type=Trace).records.items[0].batch_id == receipt.batch_id
    code, out = await command(stack, "--customer", wearer.customer.id, "--slot", at(MONDAY, 9))
    assert code == 1
    assert "unknown: the ledger has no row" in out


async def command(stack: RunningStack, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fitstream", "trace", *arguments, "--data", str(stack.folder),
        env=clean_environ(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return int(process.returncode or 0), out.decode()


async def test_a_week_leads_on_to_datasets_runs_models_and_forecasts(
    services: Settings, repo: Repo
) -> None:
    async with repo.transaction() as db:
        customer = await customers.create_customer(db, NewCustomer(external_id=new_id("x")))
        await _ledger_row(db, customer.id, customer.customer_no)
        made = await _trained_on(db, customer.customer_no, week_of_monday())
    async with open_store(services) as store:
        sources = Sources(services, repo, store)
        found = await trace_slot(sources, customer.id, slot_of(MONDAY), None)
    assert found.records.unknown == "neither Kafka nor the archive has the record (yet)"
    (week,) = found.weeks.items
    assert [(version.version, version.holds) for version in week.versions.items] == [(1, None)]
    assert [each.dataset_hash for each in week.datasets.items] == [made["dataset"]]
    assert [each.id for each in week.runs.items] == [made["job"]]
    assert [each.id for each in week.models.items] == [made["model"]]
    assert [(each.target, each.version) for each in week.forecasts.items] == [("steps", 1)]
    told = "\n".join(lines_of(found))
    for what in ("cannot be read now", made["job"], made["model"], "users/x/v1.parquet"):
        assert what in told


async def _ledger_row(db: Db, customer_id: str, customer_no: int) -> None:
    device = await devices.create_device(db, customer_no, "watch", "w", None)
    partition = customer_no + 1000
    await progress.start_progress(db, 1, partition, 2**40)
    batch = SampleBatch(
        batch_id=new_id("b"),
        customer_id=customer_id,
        device_id=device.id,
        received_at=int(datetime.now(UTC).timestamp() * 1000),
        columns=SampleColumns(slot=[slot_of(MONDAY)], steps=[3]),
    )
    chunk = Chunk(1, partition, 2**40, 2**40 + 1, "last", [(2**40, batch)])
    await LedgerWriter().write(db, chunk)


async def _trained_on(db: Db, customer_no: int, week: str) -> dict[str, str]:
    """A version of the week with all that can rest on one; none of its objects exist."""
    made = {"dataset": new_id("hash"), "model": new_id("model")}
    files = [{"kind": "week", "key": "users/x/v1.parquet", "bytes": 1, "sha256": "0"}]
    new = {"version": 1, "content_sha": "c", "rows": 1, "slots": 1, "measured": 1}
    version = weeks.NewVersion(**new, files=files, reason="closed", changed={})
    await weeks.insert_version(db, customer_no, week, version)
    pinned = models.PinnedWeek(customer_no, "cus", week, 1, "c", files)
    await models.insert_members(db, made["dataset"], [pinned])
    job = NewJob(kind="train_cohort", queue="train", dedupe_key=new_id("job"))
    made["job"] = await jobs.insert_job(db, job)
    run: dict[str, Any] = {"programme_no": 1, "scope": "cohort", "recipe": {}, "recipe_hash": "r"}
    counts = {"customers": 1, "weeks": 1}
    hashed = {"job_id": made["job"], "dataset_hash": made["dataset"]}
    await models.insert_run(db, models.NewRun(**run, **counts, **hashed))
    about = {"kind": "climatology", "stage": "retired", "metrics": {}, "sha256": "s"}
    where = {"id": made["model"], "programme_no": 1, "object_key": "models/x"}
    await models.insert_model(db, models.NewModel(**where, **about, **hashed))
    forecast = forecasts.NewForecast(
        customer_no=customer_no,
        target="steps",
        issued_at=datetime.now(UTC),
        model_id=made["model"],
        week=week,
        version=1,
        data_through=1,
        start_slot=1,
        basis="week",
        quantiles=[],
        object_key="f",
    )
    await forecasts.upsert_forecasts(db, [forecast])
    return made


async def test_a_reader_knows_the_partitions_and_reads_only_what_is_there(
    stack: RunningStack, admin: Client
) -> None:
    wearer = await new_wearer(admin)
    receipts = [await wearer.post(day_of_samples(MONDAY)[:1]) for _ in range(3)]
    place, offsets = receipts[0].partition, [receipt.offset for receipt in receipts]
    async with open_reader(stack.settings) as reader:
        assert reader.partitions == 24
        assert reader.partition_for(wearer.customer.id.encode()) == place
        wanted = [*offsets, offsets[-1] + 100_000, offsets[0]]
        found = [record.offset async for record in reader.read(place, wanted)]
        nowhere = [record async for record in reader.read(99, [0])]
    assert found == offsets
    assert nowhere == []
