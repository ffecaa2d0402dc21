"""Models that have seen data of people who have withdrawn: flagged, trained anew, out of use."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fitstream.consumers.dispatcher import Dispatcher
from fitstream.errors import Conflict, Unavailable
from fitstream.ids import new_id
from fitstream.jobs import ArqDoorbell
from fitstream.repo import customers, jobs, models
from fitstream.repo.database import Db, Repo
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model, NewModel
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from tests.training import QUICK, Case, programme_of, start_run

pytestmark = pytest.mark.stack
IMPATIENT = "SET LOCAL lock_timeout = '50ms'"


@pytest.fixture
async def store(services: Settings) -> AsyncIterator[Store]:
    async with open_store(services) as opened:
        yield opened


class Cohort:
    """A programme of three whose model in use has seen the data of the first two."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo

    async def make(self) -> "Cohort":
        self.programme, self.people = await programme_of(self.repo, 3)
        self.hash = new_id("hash")
        await start_run(self.repo, self.programme, (self.hash, self.people[:2]))
        await self.end_runs()
        self.champion = await self.model(self.hash)
        return self

    async def model(self, dataset_hash: str, before: str = "", **more: Any) -> str:
        async with self.repo.transaction() as db:
            if before:
                await db.execute(before)
            return await self.register(db, dataset_hash, **more)

    async def register(self, db: Db, dataset_hash: str, **more: Any) -> str:
        """The same in a transaction that goes on."""
        model_id = new_id("mod")
        job_id = await jobs.insert_job(db, NewJob(kind="none", queue="none", dedupe_key=model_id))
        new = NewModel(
            id=model_id, programme_no=self.programme.programme_no,
            kind="weighted_climatology", job_id=job_id, dataset_hash=dataset_hash, metrics={},
            object_key=model_id, sha256="", **{"stage": "champion", **more},
        )  # fmt: skip
        await models.insert_model(db, new)
        await models.flag_withdrawn(db, model_id)
        return model_id

    async def withdraw(self, number: int, before: str = "") -> None:
        async with self.repo.transaction() as db:
            if before:
                await db.execute(before)
            whose = self.people[number].customer_no
            await customers.set_consents(db, whose, {"training": False})

    async def read(self, model_id: str) -> Model:
        async with self.repo.connection() as db:
            return await models.get_model(db, model_id)

    async def serving(self) -> str | None:
        async with self.repo.connection() as db:
            found = await models.champion(db, self.programme.programme_no)
        return found.id if found else None

    async def age_flag(self, days: float) -> None:
        async with self.repo.connection() as db:
            await db.execute(
                "UPDATE model SET flagged_at = now() - make_interval(hours => $2) WHERE id = $1",
                self.champion, int(days * 24),
            )  # fmt: skip

    async def end_runs(self) -> None:
        async with self.repo.connection() as db:
            await db.execute(
                "UPDATE job SET state = 'succeeded' WHERE programme_no = $1"
                " AND kind IN ('cohort_prepare', 'train_cohort')",
                self.programme.programme_no,
            )

    async def preparations(self) -> int:
        async with self.repo.connection() as db:
            count: int = await db.fetchval(
                "SELECT count(*) FROM job WHERE programme_no = $1 AND kind = 'cohort_prepare'",
                self.programme.programme_no,
            )
        return count


@pytest.fixture
async def cohort(repo: Repo) -> Cohort:
    return await Cohort(repo).make()


@pytest.fixture
def dispatcher(repo: Repo, services: Settings) -> Dispatcher:
    return Dispatcher(repo, ArqDoorbell(services), services)


async def test_a_withdrawal_flags_what_has_seen_the_data_and_what_rests_on_it(
    cohort: Cohort,
) -> None:
    own_hash = new_id("hash")
    third = cohort.people[2].customer_no
    own = await cohort.model(own_hash, customer_no=third, base_model_id=cohort.champion)
    await cohort.withdraw(2)  # whose data neither has seen
    assert [(await cohort.read(each)).flagged_at for each in (cohort.champion, own)] == [None, None]
    await cohort.withdraw(0)
    champion, adapted = await cohort.read(cohort.champion), await cohort.read(own)
    assert champion.flagged_at is not None
    assert adapted.flagged_at is not None  # it holds nothing of them, what it rests on does
    assert (champion.seen_from, champion.withdrawn) == (2, 1)
    assert (adapted.seen_from, adapted.withdrawn) == (2, 1)
    assert await cohort.serving() == cohort.champion  # for some days


async def test_whoever_is_gone_altogether_is_found_by_the_nightly_look(cohort: Cohort) -> None:
    async with cohort.repo.transaction() as db:
        await db.execute("DELETE FROM consent WHERE customer_no = $1", cohort.people[1].customer_no)
        await models.flag_withdrawn(db)
    assert (await cohort.read(cohort.champion)).flagged_at is not None


async def test_a_retired_model_that_has_seen_who_is_gone_serves_no_more(cohort: Cohort) -> None:
    second, third = await cohort.model(cohort.hash), await cohort.model(new_id("hash"))
    async with cohort.repo.transaction() as db:  # no withdrawal has told anybody
        await db.execute("DELETE FROM consent WHERE customer_no = $1", cohort.people[1].customer_no)
    for asked in (models.promote_model, models.roll_back):
        async with cohort.repo.transaction() as db:
            whose = second if asked is models.promote_model else third
            with pytest.raises(Conflict) as refused:
                await asked(db, await models.get_model(db, whose))
        assert refused.value.code in ("model_flagged", "no_earlier_model")
    assert await cohort.serving() == third


@pytest.mark.parametrize("is_own", [False, True])
async def test_who_withdraws_while_a_model_is_registered_waits_and_flags_it(
    cohort: Cohort, is_own: bool
) -> None:
    third = cohort.people[2].customer_no
    of = {"customer_no": third, "base_model_id": cohort.champion} if is_own else {}
    seen = new_id("hash") if is_own else cohort.hash  # an own model's base has seen the first two
    async with cohort.repo.transaction() as registering:
        model_id = await cohort.register(registering, seen, **of)
        with pytest.raises(Unavailable, match="lock timeout"):
            await cohort.withdraw(0, before=IMPATIENT)
    await cohort.withdraw(0)
    assert (await cohort.read(model_id)).flagged_at is not None


async def test_a_model_is_registered_after_a_withdrawal_that_is_under_way_and_flagged(
    cohort: Cohort,
) -> None:
    async with cohort.repo.transaction() as withdrawing:
        whose = cohort.people[0].customer_no
        await customers.set_consents(withdrawing, whose, {"training": False})
        with pytest.raises(Unavailable, match="lock timeout"):
            await cohort.model(cohort.hash, before=IMPATIENT)
    assert (await cohort.read(await cohort.model(cohort.hash))).flagged_at is not None


async def test_a_flagged_champion_starts_one_run_a_day_and_serves_seven_more_days(
    cohort: Cohort, dispatcher: Dispatcher
) -> None:
    now = datetime.now(UTC)
    await dispatcher.plan(now)
    assert await cohort.preparations() == 0
    await cohort.withdraw(0)
    for _ in range(2):
        await dispatcher.plan(now)
    assert await cohort.preparations() == 1
    tomorrow = now + timedelta(days=1)
    await dispatcher.plan(tomorrow)
    assert await cohort.preparations() == 1  # that of today is under way
    await cohort.end_runs()
    await dispatcher.plan(tomorrow)
    assert await cohort.preparations() == 2
    await cohort.age_flag(6.9)
    await dispatcher.plan(now)
    assert await cohort.serving() == cohort.champion
    await cohort.age_flag(7.1)
    assert await cohort.serving() is None
    await dispatcher.plan(now)
    assert (await cohort.read(cohort.champion)).stage == "retired"


async def test_a_flagged_model_cannot_be_put_to_use_again(cohort: Cohort) -> None:
    await cohort.withdraw(0)
    newer = await cohort.model(new_id("hash"))
    assert await cohort.serving() == newer
    async with cohort.repo.transaction() as db:
        with pytest.raises(Conflict) as refused:
            await models.promote_model(db, await models.get_model(db, cohort.champion))
        assert refused.value.code == "model_flagged"
        with pytest.raises(Conflict) as refused:  # nor by going back to it
            await models.roll_back(db, await models.get_model(db, newer))
        assert refused.value.code == "no_earlier_model"


async def test_one_goes_back_model_by_model(cohort: Cohort) -> None:
    second, third = [await cohort.model(new_id("hash")) for _ in range(2)]

    async def back(model_id: str) -> str:
        async with cohort.repo.transaction() as db:
            return (await models.roll_back(db, await models.get_model(db, model_id))).id

    assert await back(third) == second
    assert await cohort.serving() == second
    assert await back(second) == cohort.champion
    with pytest.raises(Conflict) as refused:
        await back(third)
    assert refused.value.code == "not_serving"


async def test_one_goes_back_to_who_served_last_though_both_were_promoted_at_once(
    cohort: Cohort,
) -> None:
    second, third = [await cohort.model(new_id("hash"), stage="challenger") for _ in range(2)]

    async def promote(db: Db, model_id: str) -> None:
        await models.promote_model(db, await models.get_model(db, model_id))

    async with cohort.repo.transaction() as slow:  # begins first and comes second
        async with cohort.repo.transaction() as quick:
            await promote(quick, second)
        await promote(slow, third)
    async with cohort.repo.transaction() as db:
        before = await models.roll_back(db, await models.get_model(db, third))
    assert before.id == second


async def test_a_customers_model_serves_only_on_the_model_it_was_made_from(
    cohort: Cohort,
) -> None:
    whose = cohort.people[2].customer_no
    own = await cohort.model(new_id("hash"), customer_no=whose, base_model_id=cohort.champion)

    async def served() -> list[str]:
        async with cohort.repo.connection() as db:
            base = await models.champion(db, cohort.programme.programme_no)
            assert base is not None
            found = await models.own_champions(db, base, [whose])
        return [each.id for each in found.values()]

    assert await served() == [own]
    await cohort.model(new_id("hash"))  # another champion of the programme
    assert await served() == []
    async with cohort.repo.transaction() as db:
        with pytest.raises(Conflict) as refused:
            await models.promote_model(db, await models.get_model(db, own))
        assert refused.value.code in ("base_retired", "model_flagged")


@pytest.mark.slow
async def test_the_model_that_was_trained_anew_takes_the_place_of_a_flagged_one_in_any_case(
    repo: Repo, store: Store, services: Settings
) -> None:
    case = Case(repo, store, services)
    case.settings = msgspec.structs.replace(services, train_share_from_s=1000)
    await case.do(await case.begin(people=4, days=9, recipe=QUICK))
    first = await case.model()
    again = new_id("hash")
    await case.pin(again, case.people[1:])
    await case.do(await start_run(repo, case.programme, (again, case.people[1:]), QUICK))
    assert (await case.model()).id == first.id  # not better with certainty: a challenger
    async with repo.transaction() as db:
        await customers.set_consents(db, case.people[0].customer_no, {"training": False})
    third = new_id("hash")
    await case.pin(third, case.people[2:])
    await case.do(await start_run(repo, case.programme, (third, case.people[2:]), QUICK))
    assert (await case.model()).dataset_hash == third
