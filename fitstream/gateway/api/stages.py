"""Who serves: a model is promoted, and so one can go back to an earlier one, or retired."""

from aiohttp import web

from fitstream.client import operations
from fitstream.gateway.api.answers import answer
from fitstream.gateway.api.training import described
from fitstream.gateway.keys import REPO
from fitstream.gateway.recording import about_model
from fitstream.gateway.routes import Route
from fitstream.ids import new_id
from fitstream.repo import jobs, models
from fitstream.repo.jobs import NewJob


async def promote_model(request: web.Request) -> web.Response:
    """The model serves from now on, and forecasts are made with it; the champion so far retires.

    Promoting the champion again only makes its forecasts anew.
    """
    async with request.app[REPO].transaction() as db:
        model = await models.get_model(db, request.match_info["model"])
        await models.promote_model(db, model)
        await jobs.insert_job(
            db,
            NewJob(
                kind="forecast",
                queue="forecast",
                dedupe_key=f"forecast:promoted:{new_id('ask')}",
                payload={"customers": None},
                programme_no=model.programme_no,
            ),
        )
        await about_model(db, request, "model.promoted", model.id)
        return answer(described(await models.get_model(db, model.id)))


async def retire_model(request: web.Request) -> web.Response:
    """The model no longer serves; forecasts that were issued stay."""
    async with request.app[REPO].transaction() as db:
        model = await models.get_model(db, request.match_info["model"])
        await models.retire_model(db, model)
        await about_model(db, request, "model.retired", model.id)
        return answer(described(await models.get_model(db, model.id)))


ROUTES = (
    Route(
        "POST", "/v1/models/{model}/promote", promote_model, "promote_model",
        state_of="/v1/models/{model}",
        gives=operations.Model, problems=(404,), tag="models",
        summary="Put a model to use in place of the champion",
    ),
    Route(
        "POST", "/v1/models/{model}/retire", retire_model, "retire_model",
        state_of="/v1/models/{model}",
        gives=operations.Model, problems=(404,), tag="models", summary="Take a model out of use",
    ),
)  # fmt: skip
