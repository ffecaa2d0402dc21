"""What training runs have read does not stay for ever, and not after somebody has withdrawn."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from fitstream.errors import Rejected
from fitstream.ids import new_id
from fitstream.repo import customers, jobs
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks.cohort_prepare import cohort_prepare
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import folder
from fitstream.tasks.old_datasets import forget_datasets
from fitstream.tasks.upkeep import upkeep
from tests.forecasting import do_job
from tests.training import Case, programme_of, start_run

pytestmark = pytest.mark.stack


@pytest.fixture
async def store(services: Settings) -> AsyncIterator[Store]:
    async with open_store(services) as opened:
        yield opened


async def only_datasets(context: JobContext) -> None:
    """The part of the upkeep that this is about: the others would follow the clock too."""
    gone = await forget_datasets(context)
    async with context.repo.transaction() as db:
        await jobs.finish_job(db, context.job, "succeeded", {"datasets_forgotten": gone})


class Kept:
    """A programme of two with a dataset of both, whose run may have ended."""

    def __init__(self, repo: Repo, store: Store, settings: Settings) -> None:
        self.repo, self.store, self.settings = repo, store, settings

    async def make(self, state: str) -> "Kept":
        self.programme, self.people = await programme_of(self.repo, 2)
        self.hash = new_id("hash")
        self.run = await start_run(self.repo, self.programme, (self.hash, self.people))
        await self.become(state)
        for name in ("part-00.parquet", "part-01.parquet", "manifest.json"):
            await self.store.put_new(f"{self.home}/{name}", b"{}")
        return self

    @property
    def home(self) -> str:
        return folder(self.programme.programme_no, self.hash)

    async def become(self, state: str) -> None:
        async with self.repo.connection() as db:
            await db.execute(
                "UPDATE job SET state = $2, done_at = CASE WHEN $2 = 'succeeded' THEN now() END"
                " WHERE id = $1", self.run, state,
            )  # fmt: skip

    async def withdraw(self) -> None:
        async with self.repo.transaction() as db:
            await customers.set_consents(db, self.people[0].customer_no, {"training": False})

    async def left(self, days: float = 0) -> int:
        """How many of its objects are left after an upkeep so many days from now."""
        now, task = datetime.now(UTC) + timedelta(days=days), only_datasets if days else upkeep
        await do_job(self.repo, self.store, self.settings, task, now=now)
        return len([key async for key in self.store.list_keys(f"{self.home}/")])


@pytest.fixture
def kept(repo: Repo, store: Store, services: Settings) -> Kept:
    return Kept(repo, store, services)


async def test_the_data_of_who_withdrew_go_as_soon_as_no_run_on_them_is_under_way(
    kept: Kept,
) -> None:
    await kept.make("waiting")
    await kept.withdraw()
    assert await kept.left() == 3
    await kept.become("succeeded")
    assert await kept.left() == 0


async def test_data_that_no_run_has_used_for_long_go_and_the_run_cannot_be_repeated(
    kept: Kept,
) -> None:
    await kept.make("succeeded")
    assert await kept.left() == 3
    assert await kept.left(days=89) == 3
    async with kept.repo.transaction() as db:  # somebody prepares a run, perhaps on the same weeks
        job = NewJob(
            kind="cohort_prepare", queue="none", dedupe_key=new_id("ask"),
            programme_no=kept.programme.programme_no,
        )  # fmt: skip
        job_id = await jobs.insert_job(db, job)
    assert await kept.left(days=91) == 3
    async with kept.repo.transaction() as db:
        await jobs.cancel(db, job_id)
    assert await kept.left(days=91) == 0
    about = {"programme_no": kept.programme.programme_no, "payload": {"dataset": kept.hash}}
    with pytest.raises(Rejected, match="the data of this run are gone"):
        await do_job(kept.repo, kept.store, kept.settings, cohort_prepare, **about)


async def test_what_a_preparation_left_that_came_to_nothing_goes_the_next_day(kept: Kept) -> None:
    await kept.make("succeeded")
    async with kept.repo.connection() as db:
        await db.execute("DELETE FROM training_run WHERE dataset_hash = $1", kept.hash)
    assert await kept.left() == 3
    assert await kept.left(days=2) == 0


async def test_a_repeat_of_a_run_whose_data_are_gone_says_so(
    repo: Repo, store: Store, services: Settings
) -> None:
    case = Case(repo, store, msgspec.structs.replace(services))
    run_id = await case.begin(people=2, days=4)
    home = folder(case.programme.programme_no, case.hash)
    await store.delete(f"{home}/manifest.json")
    with pytest.raises(Rejected, match="start a run on the weeks of today"):
        await case.do(run_id)
