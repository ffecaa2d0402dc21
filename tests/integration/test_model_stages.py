"""Promoting, going back and retiring: one model serves at a time, whatever is asked."""

import pytest
from aiohttp import ClientSession

from fitstream.ids import new_id
from fitstream.repo import customers, jobs, models
from fitstream.repo.database import open_repo
from fitstream.repo.jobs import NewJob
from tests.conftest import RunningStack

pytestmark = pytest.mark.stack


async def test_a_model_is_promoted_gone_back_to_and_retired(
    stack: RunningStack, http: ClientSession
) -> None:
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        programme = await customers.create_programme(db, new_id("stages"), "Stages")
        job = NewJob(kind="none", queue="none", dedupe_key=new_id("job"))
        job_id = await jobs.insert_job(db, job)
        ids = [new_id("mod") for _ in range(2)]
        for model_id, stage in zip(ids, ("champion", "challenger"), strict=True):
            new = models.NewModel(
                id=model_id, programme_no=programme.programme_no, kind="weighted_climatology",
                stage=stage, job_id=job_id, dataset_hash=new_id("hash"), metrics={},
                object_key=f"models/{model_id}/model.safetensors", sha256="0",
            )  # fmt: skip
            await models.insert_model(db, new)

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
