"""The calls of the public API, typed; what is absent in an answer was not measured."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from fitstream.client.access_calls import AccessCalls
from fitstream.client.accounts import AccountCalls
from fitstream.client.data import (
    Customer,
    DailySummary,
    Day,
    HoursOfDay,
    Items,
    LoggedIn,
    Me,
    Programme,
    Receipt,
    Week,
    WeekSlots,
)
from fitstream.client.devices import DeviceCalls
from fitstream.client.forecast_calls import ForecastCalls
from fitstream.client.http import Api, Call, open_api
from fitstream.client.operations import (
    DeadLetter,
    DeadLetters,
    Job,
    JobAsked,
    Model,
    Pipeline,
    Run,
    RunAsked,
)
from fitstream.client.paging import every
from fitstream.client.system_calls import SystemCalls
from fitstream.client.trace import Trace

T = TypeVar("T")
_READ_ATTEMPTS = 3
_POST_ATTEMPTS = 8


class Client(AccessCalls, AccountCalls, DeviceCalls, ForecastCalls, SystemCalls):
    """Every call of one caller. All raise the kinds of `errors`, as `Api.send` says."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def as_who(self, token: str, forwarded: str = "") -> "Client":
        """The same client for another credential; `forwarded` is the address it acts for."""
        return Client(self._api.as_who(token, forwarded))

    def careful(self) -> "Client":
        """The same caller, who changes only what is still as this client has read it last.

        What was read carries an `ETag`; a change or removal of the same thing sends it as
        `If-Match`, and raises Rejected(changed) when somebody else was faster.
        """
        return Client(self._api.careful())

    # People
    async def login(self, email: str, password: str, agent: str = "") -> LoggedIn:
        """A new session token; raises Rejected(wrong_credentials), or
        Rejected(second_factor_required) with `extra["challenge"]`.

        `agent` is the browser that a page logs in for, as the list of sessions shows it.
        """
        body = msgspec.json.encode({"email": email, "password": password})
        headers = {"User-Agent": agent[:256]} if agent else {}
        answer = await self._api.send(Call("POST", "/v1/auth/login", body=body, headers=headers))
        return msgspec.json.decode(answer.body, type=LoggedIn)

    async def logout(self) -> None:
        """Ends the session of this caller."""
        await self._api.send(Call("POST", "/v1/auth/logout"))

    async def me(self) -> Me:
        """Who this caller is."""
        return await self._read("/v1/me", Me)

    # Customers
    async def programmes(self, after: str = "") -> Items[Programme]:
        """A page of programmes, oldest first."""
        return await self._read("/v1/programmes", Items[Programme], {"after": after})

    async def programme(self, programme_id: str) -> Programme:
        """One programme; raises NotFound."""
        return await self._read(f"/v1/programmes/{quote(programme_id, safe='')}", Programme)

    async def create_programme(self, programme_id: str, name: str) -> Programme:
        """A new programme; raises Conflict(exists)."""
        return await self._send("/v1/programmes", Programme, {"id": programme_id, "name": name})

    async def create_customer(self, zone: str, **fields: Any) -> Customer:
        """A new customer; raises Conflict(exists) whose `existing_id` has it."""
        return await self._send("/v1/customers", Customer, {"zone": zone, **fields})

    async def customers(
        self, search: str = "", only: str = "", after: str = "", limit: int = 50, sort: str = ""
    ) -> Items[Customer]:
        """A page of customers; `only` is silent, incomplete or no_forecast."""
        query = {"search": search, "filter": only, "after": after, "limit": str(limit)}
        query |= {"sort": sort}
        return await self._read("/v1/customers", Items[Customer], query)

    async def customer(self, customer_id: str) -> Customer:
        """One customer."""
        return await self._read(_of(customer_id), Customer)

    async def change_customer(self, customer_id: str, **fields: Any) -> Customer:
        """Changes zone, e-mail, name, consents or standing; what is left out stays."""
        return await self._send(_of(customer_id), Customer, fields, "PATCH")

    async def set_login(self, customer_id: str, email: str, password: str) -> None:
        """Gives a customer a login, or a new password."""
        body = {"email": email, "password": password}
        await self._send(f"{_of(customer_id)}/account", dict[str, Any], body, "PUT")

    # Samples
    async def post_samples(
        self,
        post: Mapping[str, Any] | bytes,
        *,
        missing: bool = False,
        signed: bool = False,
        patience_s: float | None = None,
    ) -> Receipt:
        """The receipt of one post of this device, sent again until it is acknowledged.

        `patience_s` replaces the usual number of attempts by a time: how long an outage may last.
        `signed` asks for `receipt_jws`, which `receipt_keys` verifies.
        Raises Rejected(nothing_acceptable) with `extra["rejected"]` when every row is wrong.
        """
        body = post if isinstance(post, bytes) else msgspec.json.encode(post)
        query = {"missing": "1"} if missing else {}
        call = Call(
            "POST",
            "/v1/samples",
            query,
            body,
            attempts=_POST_ATTEMPTS,
            patience_s=patience_s,
            headers={"Prefer": "signed-receipt"} if signed else {},
        )
        return msgspec.json.decode((await self._api.send(call)).body, type=Receipt)

    async def receipt_keys(self) -> list[dict[str, str]]:
        """The public keys of signed receipts as JWKs, the one in use first."""
        found = await self._read("/.well-known/fitstream-keys", dict[str, list[dict[str, str]]])
        return found["keys"]

    async def samples(
        self, customer_id: str, span: tuple[str, str] = ("", ""), **query: str
    ) -> Items[dict[str, Any]]:
        """A page of rows; `span` is (from, to), `combined="1"` gives one row per slot."""
        asked = {"from": span[0], "to": span[1], **query}
        return await self._read(f"{_of(customer_id)}/samples", Items[dict[str, Any]], asked)

    async def days(self, customer_id: str, first: date, last: date) -> list[Day]:
        """Totals per local day, both ends in."""
        query = {"from": first.isoformat(), "to": last.isoformat()}
        return (await self._read(f"{_of(customer_id)}/days", Items[Day], query)).items

    async def daily_summaries(
        self, customer_id: str, first: date, last: date
    ) -> list[DailySummary]:
        """What local days came to as a whole, both ends in; only for days that have one."""
        query = {"from": first.isoformat(), "to": last.isoformat()}
        path, kind = f"{_of(customer_id)}/daily-summaries", Items[DailySummary]
        return await every(lambda after: self._read(path, kind, query | {"after": after}))

    async def hours(self, customer_id: str, day: date | None = None) -> HoursOfDay:
        """One local day by the hour; today by default."""
        query = {"day": day.isoformat()} if day else {}
        return await self._read(f"{_of(customer_id)}/hours", HoursOfDay, query)

    # Weeks
    async def weeks(self, customer_id: str, after: str = "", limit: int = 50) -> Items[Week]:
        """A page of weeks, newest first."""
        query = {"after": after, "limit": str(limit)}
        return await self._read(f"{_of(customer_id)}/weeks", Items[Week], query)

    async def week(self, customer_id: str, week: str) -> Week:
        """One week with its versions."""
        return await self._read(f"{_of(customer_id)}/weeks/{quote(week)}", Week)

    async def week_slots(self, customer_id: str, week: str) -> WeekSlots:
        """One state per slot of a week."""
        return await self._read(f"{_of(customer_id)}/weeks/{quote(week)}/slots", WeekSlots)

    async def week_file(self, customer_id: str, week: str, version: int) -> bytes:
        """The Parquet bytes of a version."""
        path = f"{_of(customer_id)}/weeks/{quote(week)}/versions/{version}/file"
        return (await self._api.send(Call("GET", path, attempts=_READ_ATTEMPTS))).body

    async def roll_week(self, customer_id: str, week: str) -> str:
        """Asks for a roll now; the id of its job."""
        path = f"{_of(customer_id)}/weeks/{quote(week)}/roll"
        return (await self._send(path, JobAsked, None)).job

    # Models, jobs
    async def train(self, budget_s: float | None = None, **fields: Any) -> str:
        """Starts a cohort run, or with `scope` and `customer_id` a customer's; its id."""
        body = {"scope": "cohort", **fields} | ({"budget_s": budget_s} if budget_s else {})
        return (await self._send("/v1/training-runs", RunAsked, body)).id

    async def runs(self, after: str = "", limit: int = 50, sort: str = "") -> Items[Run]:
        """A page of training runs, newest first unless sorted otherwise."""
        query = {"after": after, "limit": str(limit), "sort": sort}
        return await self._read("/v1/training-runs", Items[Run], query)

    async def run(self, run_id: str) -> Run:
        """One training run."""
        return await self._read(f"/v1/training-runs/{quote(run_id)}", Run)

    async def models(self) -> list[Model]:
        """The newest models."""
        return (await self.models_after()).items

    async def models_after(self, after: str = "", limit: int = 50, sort: str = "") -> Items[Model]:
        """A page of models, newest first unless sorted otherwise."""
        query = {"after": after, "limit": str(limit), "sort": sort}
        return await self._read("/v1/models", Items[Model], query)

    async def jobs(
        self, state: str = "", kind: str = "", after: str = "", sort: str = ""
    ) -> Items[Job]:
        """A page of jobs, newest first unless sorted otherwise."""
        query = {"state": state, "kind": kind, "after": after, "sort": sort}
        return await self._read("/v1/jobs", Items[Job], query)

    async def job(self, job_id: str) -> Job:
        """One job."""
        return await self._read(f"/v1/jobs/{quote(job_id)}", Job)

    async def dead_letters(self, **query: str) -> DeadLetters:
        """A page of dead letters; takes `state`, `reason`, `sort`, `after`, `limit`."""
        return await self._read("/v1/dead-letters", DeadLetters, query)

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        """One dead letter with its bytes."""
        return await self._read(f"/v1/dead-letters/{quote(letter_id)}", DeadLetter)

    async def settle_letter(self, letter_id: str, way: Literal["replay", "discard"]) -> DeadLetter:
        """Applies a parked record or gives it up; raises Rejected when it stays parked."""
        return await self._send(f"/v1/dead-letters/{quote(letter_id)}/{way}", DeadLetter, None)

    async def trace_batch(self, batch_id: str) -> Trace:
        """The way of one post, hop by hop."""
        return await self._read("/v1/trace", Trace, {"batch": batch_id})

    async def trace_slot(self, customer_id: str, slot: str, device_id: str = "") -> Trace:
        """The way of one slot (RFC 3339), of all devices or one."""
        query = {"customer": customer_id, "slot": slot, "device": device_id}
        return await self._read("/v1/trace", Trace, query)

    async def pipeline(self) -> Pipeline:
        """Counts, lag and freshness of every hop."""
        return await self._read("/v1/pipeline", Pipeline)

    async def server_time(self) -> datetime:
        """The server's clock."""
        found = await self._read("/v1/time", dict[str, Any])
        return msgspec.convert(found["now"], datetime)

    async def _read(self, path: str, kind: type[T], query: Mapping[str, str] = {}) -> T:
        asked = {name: value for name, value in query.items() if value}
        call = Call("GET", path, asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)

    async def _send(
        self, path: str, kind: type[T], body: Mapping[str, Any] | None, method: str = "POST"
    ) -> T:
        packed = None if body is None else msgspec.json.encode(body)
        answer = await self._api.send(Call(method, path, body=packed))
        return msgspec.json.decode(answer.body, type=kind)


@asynccontextmanager
async def open_client(
    base_url: str, token: str = "", *, connections: int = 100, timeout_s: float = 15.0
) -> AsyncIterator[Client]:
    """A client of the API at `base_url`."""
    async with open_api(base_url, token, connections=connections, timeout_s=timeout_s) as api:
        yield Client(api)


def _of(customer_id: str) -> str:
    return f"/v1/customers/{quote(customer_id, safe='')}"
