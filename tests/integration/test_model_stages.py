"""Promoting, going back and retiring: one model serves at a time, whatever is asked."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from fitstream.cli import main
from fitstream.client import Client
from fitstream.ids import new_id
from fitstream.repo import customers, forecasts, jobs, models
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.forecasts import NewForecast
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings
from fitstream.store import open_store
from fitstream.tasks.context import JobContext
from fitstream.tasks.old_models import forget_models
from tests.conftest import RunningStack
from tests.fakes.store import FakeStore
from tests.forecasting import do_job
from tests.integration.test_offered_links import PASSWORD, logged_in
from tests.oauth import call

pytestmark = pytest.mark.stack


async def registered(stack: RunningStack, *stages: str) -> list[str]:
    """Ids of models of a new programme, in these stages, whose objects nobody has stored."""
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        programme = await customers.create_programme(db, new_id("stages"), "Stages")
        job = NewJob(kind="none", queue="none", dedupe_key=new_id("job"))
        job_id = await jobs.insert_job(db, job)
        ids = [new_id("mod") for _ in stages]
        for model_id, stage in zip(ids, stages, strict=True):
            new = models.NewModel(
                id=model_id, programme_no=programme.programme_no, kind="weighted_climatology",
                stage=stage, job_id=job_id, dataset_hash=new_id("hash"), metrics={},
                object_key=f"models/{model_id}/model.safetensors", sha256="0",
            )  # fmt: skip
            await models.insert_model(db, new)
    return ids


@pytest.mark.parametrize(
    ("stored", "state", "said"),
    [
        (None, "missing", "missing in the archive"),
        (b'{"verdict": "x', "unreadable", "damaged"),
        (b"\xff\xfe", "unreadable", "damaged"),
        (b"[]", "unreadable", "damaged"),
        (b'{"verdict": "It serves."}', "kept", "It serves."),
    ],
)
async def test_a_model_is_there_whatever_became_of_its_card(
    stack: RunningStack,
    admin: Client,
    http: ClientSession,
    stored: bytes | None,
    state: str,
    said: str,
) -> None:
    (model_id,) = await registered(stack, "champion")
    if stored is not None:
        async with open_store(stack.settings) as store:
            await store.put_new(f"models/{model_id}/card.json", stored)
    found = await call(http, "GET", f"/v1/models/{model_id}/card", stack.admin_key)
    assert (found.status, found.body["card_state"]) == (200, state)
    assert found.body["model"]["id"] == model_id
    assert bool(found.body["card"]) == (state == "kept")
    email = f"{new_id('admin')}@example.org"
    await admin.create_staff(email, "admin", password=PASSWORD)
    async with (
        logged_in(stack, email) as visitor,
        visitor.get(f"/admin/models/{model_id}") as answer,
    ):
        page = await answer.text()
    assert answer.status == 200
    assert said in page
    assert ("The whole card" in page) == (state == "kept")
    unknown = await call(http, "GET", "/v1/models/mod_unknown/card", stack.admin_key)
    assert unknown.status == 404


async def test_a_model_is_promoted_gone_back_to_and_retired(
    stack: RunningStack, http: ClientSession
) -> None:
    ids = await registered(stack, "champion", "challenger")

    async def ask(model_id: str, what: str) -> int:
        key = {"Authorization": f"Bearer {stack.admin_key}"}
        async with http.post(f"/v1/models/{model_id}/{what}", headers=key) as answer:
            return answer.status

    async def stages() -> list[str]:
        async with open_repo(stack.settings) as repo, repo.connection() as db:
            return [(await models.get_model(db, model_id)).stage for model_id in ids]

    assert await ask(ids[1], "promote") == 200
    assert await stages() == ["retired", "champion"]
    assert await ask(ids[0], "promote") == 200  # back to the one before
    assert await stages() == ["champion", "retired"]
    assert await ask(ids[0], "retire") == 200
    assert await stages() == ["retired", "retired"]
    assert await ask("mod_unknown", "promote") == 404

    async def said(*words: str) -> tuple[int, str]:
        """What the command answers, in a process' thread of its own loop."""
        where = ["models", "--url", stack.gateway, "--key", stack.admin_key]
        done = await asyncio.to_thread(CliRunner().invoke, main, [*where, *words])
        return done.exit_code, done.output

    code, text = await said("promote", ids[1])
    assert (code, await stages()) == (0, ["retired", "champion"])
    assert f"{ids[1]}  champion" in text
    assert (await said("roll-back", ids[1]))[0] == 0
    assert await stages() == ["champion", "retired"]
    code, text = await said("roll-back", ids[1])
    assert (code, "only a champion" in text) == (1, True)
    assert (await said("retire", ids[0]))[0] == 0
    assert await stages() == ["retired", "retired"]
    assert ids[0] in (await said("list"))[1]
    assert (await said())[0] == 0
    code, text = await said("show", ids[0])
    assert (code, "its card is missing in the archive" in text) == (0, True)
    card = {"verdict": "The weighted climatology serves."}
    async with open_store(stack.settings) as store:
        await store.put_new(f"models/{ids[0]}/card.json", msgspec.json.encode(card))
    code, text = await said("show", ids[0])
    assert (code, card["verdict"] in text) == (0, True)


@pytest.mark.slow
async def test_the_commands_wait_for_the_answer_of_a_run_and_print_a_forecast(
    stack: RunningStack, admin: Client
) -> None:
    async def said(*words: str) -> tuple[int, str]:
        where = ["--url", stack.gateway, "--key", stack.admin_key]
        done = await asyncio.to_thread(CliRunner().invoke, main, [*words, *where])
        return done.exit_code, done.output

    (model_id,) = await registered(stack, "champion")
    programme = await admin.create_programme(new_id("train"), "Nobody")
    code, text = await said("train", "--programme", programme.id, "--budget-s", "1", "--wait")
    assert (code, "nobody who consents" in text) == (0, True)
    for words in (("--programme", "nowhere"), ("--customer", "cus_nobody")):
        code, text = await said("train", *words)
        assert (code, "was not found" in text) == (1, True)
    customer = await admin.create_customer("UTC", programme=programme.id)
    code, text = await said("forecast", customer.id)
    assert (code, "was not found" in text) == (1, True)
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        number = (await customers.get_customer(db, customer.id)).customer_no
        told = NewForecast(
            customer_no=number, target="steps", horizon="96", issued_at=datetime.now(UTC),
            model_id=model_id, week=None, version=None, data_through=0, start_slot=2_000_000,
            basis="own history", quantiles=[[1.0, 2.0, 3.0, 2.5]] * 96, totals=[], explanation=[],
            object_key="", week_seq=None,
        )  # fmt: skip
        await forecasts.upsert_forecasts(db, [told])
    code, text = await said("forecast", customer.id)
    first, *hours = text.splitlines()
    assert (code, len(hours)) == (0, 24)
    assert first == f"steps by {model_id} (weighted_climatology), own history"
    assert hours[1].split() == ["2027-01-15", "09:00Z", "1.0", "2.0", "3.0", "2.5"]
    code, text = await said("forecast", customer.id, "--target", "mood")
    assert (code, "`target` is one of" in text) == (1, True)


async def test_what_a_run_has_stored_and_not_registered_goes_after_a_day(
    repo: Repo, services: Settings
) -> None:
    async with repo.transaction() as db:
        job = NewJob(kind="none", queue="none", dedupe_key=new_id("job"))
        kept = models.NewModel(
            id=new_id("mod"), programme_no=1, kind="weighted_climatology", stage="challenger",
            job_id=await jobs.insert_job(db, job), dataset_hash=new_id("hash"), metrics={},
            object_key="", sha256="",
        )  # fmt: skip
        await models.insert_model(db, kept)
    store, left = FakeStore(), [f"models/{kept.id}/card.json", f"models/{kept.id}/model"]
    for key in (*left, "models/mod_killed/card.json", "models/mod_killed/model"):
        store.objects[key] = b""

    async def only_models(context: JobContext) -> None:
        gone = await forget_models(context)
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"models_forgotten": gone})

    for days, many in ((0.9, 4), (1.1, 2), (3, 2)):
        now = datetime.now(UTC) + timedelta(days=days)
        await do_job(repo, store, services, only_models, now=now)
        assert len(store.objects) == many
    assert sorted(store.objects) == sorted(left)


async def test_of_what_is_asked_at_once_one_comes_after_the_other(
    stack: RunningStack, http: ClientSession
) -> None:
    ids = await registered(stack, "champion", "challenger", "challenger")

    async def ask(model_id: str, what: str) -> int:
        return (await call(http, "POST", f"/v1/models/{model_id}/{what}", stack.admin_key)).status

    async def serving() -> list[str]:
        async with open_repo(stack.settings) as repo, repo.connection() as db:
            found = [await models.get_model(db, model_id) for model_id in ids]
        return [model.id for model in found if model.stage == "champion"]

    assert await asyncio.gather(*(ask(each, "promote") for each in ids[1:])) == [200, 200]
    (last,) = await serving()
    assert last in ids[1:]
    back = await asyncio.gather(*(ask(last, "roll-back") for _ in range(2)))
    assert sorted(back) == [200, 409]  # not two models back
    (before,) = await serving()
    assert before in ids[1:]
    assert before != last
    assert await ask(before, "roll-back") == 200
    assert await serving() == ids[:1]
    assert await ask(ids[0], "roll-back") == 409
