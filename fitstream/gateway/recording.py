"""Entries of the audit log about customers, in the words that every way to change them shares."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from fitstream.gateway.principal import PRINCIPAL
from fitstream.repo.audit import Subject, record
from fitstream.repo.customers import Customer
from fitstream.repo.database import Db


async def about_customer(
    db: Db, request: web.Request, action: str, customer: Customer, fields: Sequence[str] = ()
) -> None:
    """What the caller did to a customer; `fields` are names of what changed."""
    number = customer.customer_no
    subject = Subject("customer", str(number), number, customer.programme_no)
    await record(db, request[PRINCIPAL].actor, action, subject, fields)


async def consents_changed(
    db: Db, request: web.Request, customer: Customer, wanted: Mapping[str, bool]
) -> None:
    """Which consents were given and which withdrawn; nothing for those that stay."""
    before = {"training": customer.training, "sharing": customer.sharing}
    for action, value in (("consent.given", True), ("consent.withdrawn", False)):
        changed = [name for name, to in wanted.items() if to is value and before[name] is not to]
        if changed:
            await about_customer(db, request, action, customer, changed)


async def standing_changed(
    db: Db, request: web.Request, customer: Customer, is_deactivated: bool
) -> None:
    """That a customer was deactivated, or came back."""
    if is_deactivated != (customer.deactivated_at is not None):
        action = "customer.deactivated" if is_deactivated else "customer.activated"
        await about_customer(db, request, action, customer)


async def about_job(db: Db, request: web.Request, action: str, job_id: str) -> None:
    """What the caller did to a job."""
    await record(db, request[PRINCIPAL].actor, action, Subject("job", job_id))


async def about_model(db: Db, request: web.Request, action: str, model_id: str) -> None:
    """What the caller did to a model."""
    await record(db, request[PRINCIPAL].actor, action, Subject("model", model_id))
