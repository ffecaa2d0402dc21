"""Promoting, going back and retiring: one model serves at a time, whatever is asked."""

import asyncio

import msgspec
import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from fitstream.cli import main
from fitstream.client import Client
from fitstream.ids import new_id
from fitstream.repo import customers, jobs, models
from fitstream.repo.database import open_repo
from fitstream.repo.jobs import NewJob
from fitstream.store import open_store
from tests.conftest import RunningStack
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
