"""Training runs, datasets, the registry of models, and forecasts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from fitstream.errors import NotFound
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value


class Run(msgspec.Struct, frozen=True):
    """A training run with its job."""

    id: str
    scope: str
    state: str
    progress: dict[str, Any]
    customers: int
    weeks: int
    dataset_hash: str
    recipe_hash: str
    metrics: dict[str, Any]
    model_id: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    done_at: datetime | None


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be recorded."""

    job_id: str
    programme_no: int
    scope: str
    recipe: dict[str, Any]
    recipe_hash: str
    dataset_hash: str
    customers: int
    weeks: int


class PinnedWeek(msgspec.Struct, frozen=True):
    """One version of a finished week that a dataset is made of."""

    customer_no: int
    customer_id: str
    week: str
    version: int
    content_sha: str
    files: list[dict[str, Any]]


class Model(msgspec.Struct, frozen=True):
    """A model of the registry."""

    id: str
    programme_no: int
    kind: str
    stage: str
    job_id: str
    dataset_hash: str
    metrics: dict[str, Any]
    object_key: str
    sha256: str
    created_at: datetime


class NewModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model to be registered."""

    id: str
    programme_no: int
    kind: str
    stage: str
    job_id: str
    dataset_hash: str
    metrics: dict[str, Any]
    object_key: str
    sha256: str


class ForecastCustomer(msgspec.Struct, frozen=True):
    """Whom to forecast, and their newest rolled week."""

    customer_no: int
    id: str
    zone: str
    last_slot: int
    week: str | None
    version: int | None


class NewForecast(msgspec.Struct, frozen=True, kw_only=True):
    """One target of one customer; `quantiles` rows are [q10, q50, q90, mean] per slot."""

    customer_no: int
    target: str
    issued_at: datetime
    model_id: str
    week: str | None
    version: int | None
    data_through: int
    start_slot: int
    basis: str
    quantiles: list[list[float]]
    object_key: str


class Forecast(msgspec.Struct, frozen=True):
    """The latest forecast of a customer and target."""

    target: str
    issued_at: datetime
    model_id: str
    model_kind: str
    week: str | None
    version: int | None
    data_through: int
    start_slot: int
    basis: str
    quantiles: list[list[float]]


async def insert_run(db: Db, new: NewRun) -> bool:
    """Whether the run is new: the same dataset and recipe run once."""
    return bool(await execute(db, "models.insert_run", *msgspec.structs.astuple(new)))


async def finish_run(db: Db, job_id: str, metrics: dict[str, Any], model_id: str | None) -> None:
    """Stores what a run found."""
    await execute(db, "models.finish_run", job_id, metrics, model_id)


async def list_runs(
    db: Db, after: tuple[datetime, str] | None, limit: int, within: Sequence[int] | None = None
) -> list[Run]:
    """Runs, newest first, of the programmes with the numbers in `within`."""
    return await fetch(db, Run, "models.list_runs", *(after or (None, None)), None, limit, within)


async def get_run(db: Db, run_id: str) -> Run:
    """One run; raises NotFound."""
    found = await fetch_one(db, Run, "models.list_runs", None, None, run_id, 1, None)
    if found is None:
        raise NotFound(f"training run {run_id}")
    return found


async def consenting_weeks(db: Db, programme_no: int, since_week: str) -> list[PinnedWeek]:
    """Finished weeks that training may read now, by customer and week."""
    return await fetch(db, PinnedWeek, "models.consenting_weeks", programme_no, since_week)


async def insert_members(db: Db, dataset_hash: str, weeks: Sequence[PinnedWeek]) -> None:
    """Records whose weeks a dataset holds."""
    numbers = [week.customer_no for week in weeks]
    names, versions = [week.week for week in weeks], [week.version for week in weeks]
    await execute(db, "models.insert_member", dataset_hash, numbers, names, versions)


async def withdrawn_members(db: Db, dataset_hash: str) -> int:
    """How many customers of a dataset do not consent to training any more, or are gone."""
    found: int = await fetch_value(db, "models.withdrawn_members", dataset_hash)
    return found


async def insert_model(db: Db, new: NewModel) -> None:
    """Registers a model; a champion retires the one before it, in the caller's transaction."""
    if new.stage == "champion":
        await execute(db, "models.retire_champion", new.programme_no)
    await execute(db, "models.insert_model", *msgspec.structs.astuple(new))


async def promote_model(db: Db, model: Model) -> None:
    """Makes a model the champion; the one so far is retired, and may be promoted again. In the
    caller's transaction."""
    await execute(db, "models.retire_champion", model.programme_no)
    await execute(db, "models.set_stage", model.id, "champion")


async def retire_model(db: Db, model: Model) -> None:
    """Takes a model out of use; without a champion no forecast is issued until the next one."""
    await execute(db, "models.set_stage", model.id, "retired")


async def list_models(
    db: Db, after: tuple[datetime, str] | None, limit: int, within: Sequence[int] | None = None
) -> list[Model]:
    """Models, newest first, of the programmes with the numbers in `within`."""
    page = (*(after or (None, None)), None, limit, within)
    return await fetch(db, Model, "models.list_models", *page)


async def get_model(db: Db, model_id: str) -> Model:
    """One model; raises NotFound."""
    found = await fetch_one(db, Model, "models.list_models", None, None, model_id, 1, None)
    if found is None:
        raise NotFound(f"model {model_id}")
    return found


async def champion(db: Db, programme_no: int) -> Model | None:
    """The model in use, None before the first run."""
    return await fetch_one(db, Model, "models.champion", programme_no)


async def forecast_customers(
    db: Db, programme_no: int, only: Sequence[int] | None
) -> list[ForecastCustomer]:
    """Active customers with data, all of them or those with the numbers in `only`."""
    chosen = None if only is None else list(only)
    args = (programme_no, chosen)
    return await fetch(db, ForecastCustomer, "models.forecast_customers", *args)


async def upsert_forecasts(db: Db, new: Sequence[NewForecast]) -> None:
    """Stores the latest forecasts."""
    for forecast in new:
        await execute(db, "models.upsert_forecast", *msgspec.structs.astuple(forecast))


async def latest_forecast(db: Db, customer_no: int, target: str) -> Forecast:
    """The latest forecast; raises NotFound."""
    found = await fetch_one(db, Forecast, "models.forecast_of", customer_no, target)
    if found is None:
        raise NotFound(f"a forecast of {target}")
    return found
