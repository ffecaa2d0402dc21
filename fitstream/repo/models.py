"""Training runs, datasets, and the registry of models."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.repo.cohort_runs import hold_programme
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page

FLAGGED_DAYS = 7  # for so long a model still serves that has seen the data of who has withdrawn


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
    customer_id: str | None = None
    base_model_id: str | None = None


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
    customer_no: int | None = None
    base_model_id: str | None = None


class PinnedWeek(msgspec.Struct, frozen=True):
    """One version of a finished week that a dataset is made of."""

    customer_no: int
    customer_id: str
    week: str
    version: int
    content_sha: str
    files: list[dict[str, Any]]


class Model(msgspec.Struct, frozen=True):
    """A model of the registry.

    `customer_id` is whose it is, None for everybody's; a customer's rests on `base_model_id`.
    `flagged_at`: since when it has seen the data of somebody who consents no more.
    """

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
    customer_id: str | None = None
    base_model_id: str | None = None
    flagged_at: datetime | None = None
    seen_from: int = 0
    withdrawn: int = 0


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
    customer_no: int | None = None
    base_model_id: str | None = None


class OwnModel(msgspec.Struct, frozen=True):
    """A customer's own model in use."""

    customer_no: int
    id: str
    object_key: str
    sha256: str


class FlaggedChampion(msgspec.Struct, frozen=True):
    """A champion that has seen the data of somebody who has withdrawn."""

    id: str
    programme_no: int


async def insert_run(db: Db, new: NewRun) -> bool:
    """Whether the run is new: the same dataset and recipe run once."""
    return bool(await execute(db, "models.insert_run", *msgspec.structs.astuple(new)))


async def finish_run(db: Db, job_id: str, metrics: dict[str, Any], model_id: str | None) -> None:
    """Stores what a run found."""
    await execute(db, "models.finish_run", job_id, metrics, model_id)


async def list_runs(db: Db, asked: Slice, within: Sequence[int] | None = None) -> Listed[Run]:
    """A page of runs, of the programmes with the numbers in `within`."""
    return await fetch_page(db, Run, "models.list_runs", asked, None, within)


async def get_run(db: Db, run_id: str) -> Run:
    """One run; raises NotFound."""
    found = await fetch_one(db, Run, "models.list_runs", run_id, None)
    if found is None:
        raise NotFound(f"training run {run_id}")
    return found


async def consenting_weeks(
    db: Db, programme_no: int, since_week: str, customers_max: int
) -> list[PinnedWeek]:
    """Finished weeks that training may read now, by customer and week."""
    args = (programme_no, since_week, customers_max)
    return await fetch(db, PinnedWeek, "models.consenting_weeks", *args)


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
    """Registers a model; a champion retires the one before it, in the caller's transaction.

    Until that ends nobody whose data it has seen withdraws: who is about to has done so by then,
    and who comes later finds the model to flag.
    """
    await hold_programme(db, new.programme_no)
    await fetch_value(db, "models.hold_consents", new.dataset_hash, new.base_model_id)
    if new.stage == "champion":
        await execute(db, "models.retire_champion", new.programme_no, new.customer_no)
    await execute(db, "models.insert_model", *msgspec.structs.astuple(new))


async def promote_model(db: Db, model: Model) -> None:
    """Makes a model the champion; the one so far is retired, and may be promoted again. In the
    caller's transaction.

    Raises Conflict: model_flagged for a model that has seen what it should not have, base_retired
    for a customer's model that rests on another one than the programme's.
    """
    await hold_programme(db, model.programme_no)
    await flag_withdrawn(db, model.id)
    model = await get_model(db, model.id)
    if model.flagged_at is not None and model.stage != "champion":
        text = "it has seen the data of people who have withdrawn; train a new one instead"
        raise Conflict("model_flagged", text)
    if model.base_model_id is not None:
        current = await champion(db, model.programme_no)
        if current is None or current.id != model.base_model_id:
            text = "it was made from a model that is not in use; promote that one first"
            raise Conflict("base_retired", text)
    if model.stage != "champion":
        await execute(db, "models.make_room", model.id)
        await execute(db, "models.promote", model.id)


async def roll_back(db: Db, model: Model) -> Model:
    """Puts the model to use again that served before a champion, which is retired; that one.

    In the caller's transaction. Raises Conflict: not_serving, no_earlier_model.
    """
    await hold_programme(db, model.programme_no)
    model = await get_model(db, model.id)
    if model.stage != "champion":
        raise Conflict("not_serving", f"only a champion can be rolled back, this is {model.stage}")
    before: str | None = await fetch_value(db, "models.model_before", model.id)
    while before is not None and await flag_withdrawn(db, before):
        before = await fetch_value(db, "models.model_before", model.id)
    if before is None:
        raise Conflict("no_earlier_model", "no earlier model that may serve is known")
    await execute(db, "models.make_room", before)
    await execute(db, "models.serve_again", before)
    return await get_model(db, before)


async def retire_model(db: Db, model: Model) -> None:
    """Takes a model out of use; without a champion no forecast is issued until the next one."""
    await hold_programme(db, model.programme_no)
    await execute(db, "models.set_stage", model.id, "retired")


async def list_models(
    db: Db, asked: Slice, within: Sequence[int] | None = None, scope: str | None = None
) -> Listed[Model]:
    """A page of models, of the programmes with the numbers in `within`; of scope `cohort`
    everybody's, of `customer` those of single customers."""
    return await fetch_page(db, Model, "models.list_models", asked, None, within, scope)


async def get_model(db: Db, model_id: str) -> Model:
    """One model; raises NotFound."""
    found = await fetch_one(db, Model, "models.list_models", model_id, None, None)
    if found is None:
        raise NotFound(f"model {model_id}")
    return found


async def champion(db: Db, programme_no: int) -> Model | None:
    """The model in use for everybody; None before the first run, and when the last one was flagged
    too long ago."""
    return await fetch_one(db, Model, "models.champion", programme_no, FLAGGED_DAYS)


async def own_champions(db: Db, base: Model, customers: Sequence[int]) -> dict[int, OwnModel]:
    """Models of single customers that rest on `base` and may serve, by the customers' numbers."""
    args = (base.id, list(customers), FLAGGED_DAYS)
    found = await fetch(db, OwnModel, "models.own_champions", *args)
    return {each.customer_no: each for each in found}


async def retire_own(db: Db, programme_no: int, customer_no: int) -> None:
    """A customer's own model serves no more; the programme's does."""
    await execute(db, "models.retire_champion", programme_no, customer_no)


async def customer_weeks(db: Db, customer_no: int, since_week: str) -> list[PinnedWeek]:
    """Finished weeks of one customer that training may read now."""
    return await fetch(db, PinnedWeek, "models.customer_weeks", customer_no, since_week)


async def flag_models_of(db: Db, customer_no: int) -> int:
    """Flags all models that have seen a customer's data, and those that rest on them; how many.

    To be called in the transaction that ends the consent or erases the customer. A repeat changes
    nothing.
    """
    return await execute(db, "models.flag_models_of", customer_no)


async def flag_withdrawn(db: Db, model_id: str | None = None) -> int:
    """The same for everybody who does not consent any more or is gone, of one model or of all that
    may serve: whatever was missed; how many."""
    return await execute(db, "models.flag_withdrawn", model_id)


async def flagged_champions(db: Db) -> list[FlaggedChampion]:
    """Programmes whose model wants to be trained anew without somebody's data."""
    return await fetch(db, FlaggedChampion, "models.flagged_champions")


async def retire_overdue(db: Db) -> int:
    """Retires champions that were flagged longer ago than they may serve; how many."""
    return await execute(db, "models.retire_overdue", FLAGGED_DAYS)
