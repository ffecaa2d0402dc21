"""To which programme a thing belongs, by its public id; None when it does not exist or to none."""

from fitstream.repo.database import Db, fetch_value


async def programme(db: Db, programme_id: str) -> int | None:
    """Number of a programme."""
    found: int | None = await fetch_value(db, "scoping.programme", programme_id)
    return found


async def customer(db: Db, customer_id: str) -> int | None:
    """Programme of a customer."""
    found: int | None = await fetch_value(db, "scoping.customer", customer_id)
    return found


async def job(db: Db, job_id: str) -> int | None:
    """Programme of a job; upkeep belongs to none."""
    found: int | None = await fetch_value(db, "scoping.job", job_id)
    return found


async def run(db: Db, run_id: str) -> int | None:
    """Programme of a training run, by its own id or by that of its preparation."""
    return await job(db, run_id)


async def model(db: Db, model_id: str) -> int | None:
    """Programme of a model."""
    found: int | None = await fetch_value(db, "scoping.model", model_id)
    return found


async def upload(db: Db, upload_id: str) -> int | None:
    """Programme of an upload."""
    found: int | None = await fetch_value(db, "scoping.upload", upload_id)
    return found


async def letter(db: Db, letter_id: str) -> int | None:
    """Programme of the customer whose record could not be applied."""
    found: int | None = await fetch_value(db, "scoping.letter", letter_id)
    return found
