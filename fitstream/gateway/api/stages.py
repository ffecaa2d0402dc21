"""Who serves: a model is promoted, and so one can go back to an earlier one, or retired."""

from aiohttp import web

from fitstream.client import operations
from fitstream.gateway.api.answers import answer
from fitstream.gateway.api.models import described
from fitstream.gateway.keys import REPO
from fitstream.gateway.recording import about_model
from fitstream.gateway.routes import Route
from fitstream.ids import new_id
from fitstream.repo import customers, jobs, models, training
from fitstream.repo.database import Db
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model


async def promote_model(request: web.Request) -> web.Response:
    """The model serves from now on, and forecasts are made with it; the champion so far retires.

    Promoting the champion again only makes its forecasts anew. A customer's model serves that
    customer alone.
    """
    async with request.app[REPO].transaction() as db:
        model = await models.get_model(db, request.match_info["model"])
        await models.promote_model(db, model)
        await _forecast_again(db, model)
        if model.customer_id is None:
            await training.mark_adapted_due(db, model.programme_no)
        await about_model(db, request, "model.promoted", model.id)
        return answer(described(await models.get_model(db, model.id)))


async def roll_back_model(request: web.Request) -> web.Response:
    """The champion gives its place back to the model that served before it, which is answered."""
    async with request.app[REPO].transaction() as db:
        model = await models.get_model(db, request.match_info["model"])
        before = await models.roll_back(db, model)
        await _forecast_again(db, before)
        if before.customer_id is None:
            await training.mark_adapted_due(db, before.programme_no)
        await about_model(db, request, "model.rolled_back", model.id)
        return answer(described(await models.get_model(db, before.id)))


async def retire_model(request: web.Request) -> web.Response:
    """The model no longer serves; forecasts that were issued stay."""
    async with request.app[REPO].transaction() as db:
        model = await models.get_model(db, request.match_info["model"])
        await models.retire_model(db, model)
        if model.customer_id is not None and model.stage == "champion":
            await _forecast_again(db, model)  # by the programme's model, which serves them now
        await about_model(db, request, "model.retired", model.id)
        return answer(described(await models.get_model(db, model.id)))


async def _forecast_again(db: Db, model: Model) -> None:
    """For everybody whom the model serves or served."""
    whose = None
    if model.customer_id is not None:
        whose = [(await customers.get_customer(db, model.customer_id)).customer_no]
    await jobs.insert_job(
        db,
        NewJob(
            kind="forecast",
            queue="forecast",
            dedupe_key=f"forecast:promoted:{new_id('ask')}",
            payload={"customers": whose},
            programme_no=model.programme_no,
        ),
    )


ROUTES = (
    Route(
        "POST", "/v1/models/{model}/promote", promote_model, "promote_model",
        state_of="/v1/models/{model}",
        gives=operations.Model, problems=(404, 409), tag="models",
        summary="Put a model to use in place of the champion",
    ),
    Route(
        "POST", "/v1/models/{model}/roll-back", roll_back_model, "roll_back_model",
        gives=operations.Model, problems=(404, 409), tag="models",
        summary="Go back from a champion to the model before it",
    ),
    Route(
        "POST", "/v1/models/{model}/retire", retire_model, "retire_model",
        state_of="/v1/models/{model}",
        gives=operations.Model, problems=(404,), tag="models", summary="Take a model out of use",
    ),
)  # fmt: skip
