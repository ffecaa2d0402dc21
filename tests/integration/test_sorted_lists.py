"""Every list in every order: all pages together are every row once, in order, ties and gaps too."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from fitstream.client import Client, each
from fitstream.repo import audit, customers, dead_letters, devices, jobs, models, oauth, staff
from fitstream.repo import uploads as upload_rows
from fitstream.repo.customers import Asker
from fitstream.repo.database import Db, Repo
from fitstream.repo.paging import Listed, Order, Slice
from fitstream.repo.sorts import CUSTOMERS, LISTS
from tests.conftest import RunningStack
from tests.oauth import call

pytestmark = pytest.mark.stack
ORDERS = [(name, order) for name, sorts in LISTS.items() for order in sorts.names()]
_ROWS = 9

# Each with values that are alike, and without some where that may be; `$1` is a mark of the test,
# `$2` its programme, `$3` its customer.
_NAMED = "(ARRAY['Bo', 'ada', 'Ada', 'ÆØ', 'a_b'])[1 + i % 5]"
_AT = "timestamptz '2026-11-23 12:00Z' + i % 3 * interval '1 hour'"
_FILL = f"""
INSERT INTO customer_stat (customer_no, last_contact_at)
SELECT customer_no, timestamptz '2026-11-23 12:00Z' + customer_no % 2 * interval '1 minute'
FROM customer WHERE programme_no = $2 AND customer_no % 3 > 0;
INSERT INTO account (id, email, password_hash, role, programmes)
SELECT $1 || i, (ARRAY['B', 'a'])[1 + i % 2] || i || $1, '', (ARRAY['admin', 'support'])[1 + i % 2],
       ARRAY[$2::int] FROM generate_series(1, {_ROWS}) i;
INSERT INTO api_key (id, secret_sha, kind, name, programmes, created_at, expires_at, changed)
SELECT $1 || i, '', 'program', {_NAMED}, ARRAY[$2::int], {_AT},
       CASE WHEN i % 4 > 0 THEN {_AT} END, 0 FROM generate_series(1, {_ROWS}) i;
INSERT INTO oauth_client (id, name, redirect_uris, grants, scopes, programmes)
SELECT $1 || i, {_NAMED}, '{{}}', '{{}}', '{{}}', ARRAY[$2::int] FROM generate_series(1, {_ROWS}) i;
INSERT INTO device (id, customer_no, kind, name, priority, created_at, last_contact_at)
SELECT $1 || i, $3, (ARRAY['watch', 'phone'])[1 + i % 2], {_NAMED}, i % 3, {_AT},
       CASE WHEN i % 4 > 0 THEN {_AT} END FROM generate_series(1, {_ROWS}) i;
INSERT INTO upload (id, programme_no, name, format, size, sha256, object_key, priority, phase,
                    created_at)
SELECT $1 || i, $2, {_NAMED}, 'csv', i % 4, '', '', 1, 'checked', {_AT}
FROM generate_series(1, {_ROWS}) i;
INSERT INTO job (id, kind, queue, dedupe_key, programme_no, created_at, done_at)
SELECT $1 || i, (ARRAY['a', 'b'])[1 + i % 2], 'none', $1 || i, $2, {_AT},
       CASE WHEN i % 4 > 0 THEN {_AT} END FROM generate_series(1, {_ROWS}) i;
INSERT INTO training_run (job_id, programme_no, scope, recipe, recipe_hash, dataset_hash, customers,
                          weeks)
SELECT $1 || i, $2, 'cohort', '{{}}', i, $1, i % 3, 1 FROM generate_series(1, {_ROWS}) i;
INSERT INTO model (id, programme_no, kind, stage, job_id, dataset_hash, metrics, object_key, sha256,
                   created_at)
SELECT $1 || i, $2, (ARRAY['a', 'b'])[1 + i % 2], (ARRAY['challenger', 'retired'])[1 + i % 2],
       $1 || i, $1, '{{}}', '', '', {_AT} FROM generate_series(1, {_ROWS}) i;
INSERT INTO dead_letter (topic, partition, record_offset, generation, reason, key, value,
                         settled_at)
SELECT $1, 0, i, 1, (ARRAY['a', 'b'])[1 + i % 2], c.id::bytea, '',
       CASE WHEN i % 4 > 0 THEN {_AT} END
FROM generate_series(1, {_ROWS}) i, customer c WHERE c.customer_no = $3;
INSERT INTO audit (actor, action, programme_no)
SELECT 'system', (ARRAY['a.x', 'b.x'])[1 + i % 2], $2 FROM generate_series(1, {_ROWS}) i;
"""


class Filled(NamedTuple):
    """A programme of the test's own, with rows in every list."""

    db: Db
    programme: int
    customer: int


@asynccontextmanager
async def filled(repo: Repo) -> AsyncIterator[Filled]:
    """Rows that are gone when it ends: nobody else has seen them."""
    mark = uuid4().hex
    async with repo.connection() as db:
        transaction = db.transaction()
        await transaction.start()
        try:
            programme = await customers.create_programme(db, mark, "A study")
            number = programme.programme_no
            await insert_customers(db, number, ["Bo", None, "ada", "Ada", None, "ada", "ÆØ", "a_b"])
            customer = await db.fetchval(
                "SELECT max(customer_no) FROM customer WHERE programme_no = $1", number
            )
            script = _FILL.replace("$1", f"'{mark}'").replace("$2", str(number))
            await db.execute(script.replace("$3", str(customer)))
            yield Filled(db, number, customer)
        finally:
            await transaction.rollback()


async def insert_customers(db: Db, programme: int, names: Iterable[str | None]) -> None:
    """Customers with these names; external ids and addresses of some."""
    for place, name in enumerate(names):
        mark = uuid4().hex
        await db.execute(
            "INSERT INTO customer (id, programme_no, external_id, email, name, zone)"
            " VALUES ($1, $2, $3, $4, $5, 'UTC')",
            mark, programme, mark.upper() if place % 3 else None,
            f"{mark}@example.org" if place % 2 else None, name,
        )  # fmt: skip


def page(name: str, at: Filled, asked: Slice) -> Awaitable[Listed[Any]]:
    """A page of the list called `name`, of the test's own rows."""
    db, within = at.db, [at.programme]
    reads: dict[str, Callable[[], Awaitable[Listed[Any]]]] = {
        "customers": lambda: customers.list_customers(db, None, None, asked, Asker(within)),
        "staff": lambda: staff.list_staff(db, asked, within),
        "keys": lambda: staff.list_program_keys(db, asked, within),
        "clients": lambda: oauth.list_clients(db, asked, within),
        "devices": lambda: devices.list_devices(db, at.customer, asked),
        "uploads": lambda: upload_rows.list_uploads(db, upload_rows.Only(programmes=within), asked),
        "jobs": lambda: jobs.list_jobs(db, (None, None), asked, within),
        "runs": lambda: models.list_runs(db, asked, within),
        "models": lambda: models.list_models(db, asked, within),
        "letters": lambda: dead_letters.list_dead_letters(
            db, dead_letters.Only(within=within), asked
        ),
        "audit": lambda: audit.list_entries(db, audit.Only(within), asked),
    }
    return reads[name]()


async def walked(name: str, at: Filled, order: Order, limit: int) -> list[Any]:
    """Every row, page by page; each page but the last is full, and the last is not empty."""
    found: list[Any] = []
    asked = Slice(order, limit)
    while True:
        listed = await page(name, at, asked)
        found += listed.items
        if listed.following is None:
            assert listed.items
            return found
        assert len(listed.items) == limit
        asked = Slice(order, limit, listed.following)


def in_order(rows: Iterable[Any], order: Order) -> list[Any]:
    """The rows as they should come: those without the value last, of equal ones the tie decides."""

    def value(row: Any) -> Any:
        found = getattr(row, order.column.field)
        return found.lower() if order.column.is_text else found

    falling = order.is_falling
    having = [row for row in rows if getattr(row, order.column.field) is not None]
    lacking = [row for row in rows if getattr(row, order.column.field) is None]
    return [
        *sorted(having, key=lambda row: (value(row), getattr(row, order.tie)), reverse=falling),
        *sorted(lacking, key=lambda row: getattr(row, order.tie), reverse=falling),
    ]


@pytest.mark.parametrize("name", LISTS)
async def test_all_pages_are_every_row_once_and_in_order(repo: Repo, name: str) -> None:
    async with filled(repo) as at:
        everything = (await page(name, at, Slice(LISTS[name].order(), 100))).items
        assert len(everything) >= 8
        for asked in LISTS[name].names():
            order = LISTS[name].order(asked)
            assert order.name == asked
            for limit in (2, 5, len(everything)):
                found = await walked(name, at, order, limit)
                assert found == in_order(everything, order), (asked, limit)


_texts = st.none() | st.sampled_from(["", "a", "A", "ab", "_", "%", "Ö", "ö", "𝒜", "\U0010ffff"])


@settings_of(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_texts, min_size=1, max_size=12), st.integers(1, 6), st.booleans())
async def test_any_names_are_walked_once_and_in_order(
    repo: Repo, names: list[str | None], limit: int, is_falling: bool
) -> None:
    order = CUSTOMERS.order("-name" if is_falling else "name")
    async with repo.connection() as db:
        transaction = db.transaction()
        await transaction.start()
        try:
            programme = await customers.create_programme(db, uuid4().hex, "A study")
            at = Filled(db, programme.programme_no, 0)
            await insert_customers(db, at.programme, names)
            found = await walked("customers", at, order, limit)
            assert len(found) == len(names)
            assert found == in_order(found, order)
            assert len({row.customer_no for row in found}) == len(names)
        finally:
            await transaction.rollback()


class Explaining:
    """A connection that tells how it would read, instead of reading."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self.plans: list[str] = []

    async def fetch(self, text: str, *args: object) -> list[object]:
        """No rows."""
        rows = await self._db.fetch(f"EXPLAIN {text}", *args)
        self.plans.append("\n".join(row[0] for row in rows))
        return []


@pytest.mark.parametrize(
    ("name", "order", "index"),
    [
        ("customers", "name", "customer_by_name"),
        ("customers", "-external_id", "customer_by_external_id"),
        ("customers", "email", "customer_email"),
        ("customers", "created_at", "customer_pkey"),
        ("jobs", "-created_at", "job_recent"),
        ("jobs", "done_at", "job_by_done_at"),
        ("jobs", "-kind", "job_by_kind"),
        ("audit", "action", "audit_by_action"),
        ("audit", "-at", "audit_pkey"),
        ("staff", "created_at", "account_of_staff"),
        ("keys", "-created_at", "api_key_of_program"),
    ],
)
async def test_a_list_that_may_be_long_is_read_in_order_from_an_index(
    repo: Repo, name: str, order: str, index: str
) -> None:
    """Also from the middle on. The tables of tests are small: the planner is told not to sort."""
    async with filled(repo) as at:
        await at.db.execute("SET LOCAL enable_seqscan = off")
        await at.db.execute("SET LOCAL enable_bitmapscan = off")
        await at.db.execute("SET LOCAL enable_sort = off")
        asked = Slice(LISTS[name].order(order), 2)
        following = (await page(name, at, asked)).following
        for position in (None, following):
            told = Explaining(at.db)
            await page(name, at._replace(db=told), asked._replace(after=position))
            assert f"using {index} on" in told.plans[0], told.plans[0]


async def test_a_cursor_keeps_to_its_order(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    for _ in range(3):
        await admin.create_customer("UTC", name=f"Sorted {uuid4().hex}")
    first = await admin.customers(search="sorted ", sort="-name", limit=2)
    assert first.next is not None
    for sort in ("", "name", "created_at"):
        path = f"/v1/customers?search=Sorted&after={first.next}&sort={sort}"
        refused = await call(http, "GET", path, stack.admin_key)
        assert (refused.status, refused.body["code"]) == (400, "bad_filter"), sort
        assert "`sort`" in refused.body["detail"]
    refused = await call(http, "GET", f"/v1/jobs?after={first.next}", stack.admin_key)
    assert refused.body["code"] == "bad_filter"
    names = [
        one.name
        async for one in each(
            lambda after: admin.customers(search="Sorted ", sort="-name", after=after, limit=2)
        )
    ]
    assert len(names) >= 3
    assert names == sorted(names, key=lambda name: str(name).lower(), reverse=True)


@pytest.mark.parametrize(
    "path",
    [
        "customers", "staff", "keys", "oauth/clients", "uploads", "jobs", "training-runs", "models",
        "dead-letters", "audit",
    ],
)  # fmt: skip
@pytest.mark.parametrize("sort", ["secret_sha", "--created_at", "created_at;", "NAME"])
async def test_an_order_that_is_none_is_refused_with_those_there_are(
    http: ClientSession, stack: RunningStack, path: str, sort: str
) -> None:
    answer = await call(http, "GET", f"/v1/{path}?sort={sort}", stack.admin_key)
    assert (answer.status, answer.body["code"]) == (400, "bad_filter")
    assert answer.body["detail"].startswith("`sort` is one of ")


@pytest.mark.parametrize(
    "place", ['["created_at","x",1]', '["created_at",1]', '["created_at",null,1]', "5", '[[],1,1]']
)  # fmt: skip
async def test_a_forged_cursor_is_refused(
    http: ClientSession, stack: RunningStack, place: str
) -> None:
    text = urlsafe_b64encode(place.encode()).decode().rstrip("=")
    answer = await call(http, "GET", f"/v1/customers?after={text}", stack.admin_key)
    assert (answer.status, answer.body["code"]) == (400, "bad_cursor")


async def test_analysts_sort_by_nothing_that_they_are_not_shown(
    http: ClientSession, admin: Client
) -> None:
    email = f"analyst-{uuid4().hex}@example.org"
    made = await admin.create_staff(email, "analyst")
    who = {"email": email, "password": made.password}
    token = (await call(http, "POST", "/v1/auth/login", "", who)).body["token"]
    customer = (await admin.create_customer("UTC", name="Ada")).id
    for path in ("/v1/customers", f"/v1/customers/{customer}/devices"):
        refused = await call(http, "GET", f"{path}?sort=name", token)
        assert (refused.status, refused.body["code"]) == (400, "bad_filter")
        assert "name" not in refused.body["detail"].split("one of")[1]
        assert (await call(http, "GET", f"{path}?sort=-last_contact_at", token)).status == 200
    for path in ("staff", "keys", "oauth/clients"):
        assert (
            await call(http, "GET", f"/v1/{path}?search=a&sort=-created_at", token)
        ).status == 403


async def test_people_keys_and_clients_are_found_by_how_they_begin(
    admin: Client, http: ClientSession, stack: RunningStack
) -> None:
    mark = uuid4().hex
    person = await admin.create_staff(f"Find_{mark}@example.org", "support")
    key = await admin.create_key(f"Find_{mark}", ["data:read"])
    client = await admin.create_oauth_client(
        f"Find_{mark}", is_confidential=True, grants=["client_credentials"], scopes=["data:read"]
    )
    await admin.create_customer("UTC", name=f"Find_{mark}")
    made = {"staff": person.id, "keys": key.id, "oauth/clients": client.id}
    for path, made_id in made.items():
        for search in (f"find_{mark[:20]}", f"FIND_{mark}", made_id):
            found = await call(http, "GET", f"/v1/{path}?search={search}", stack.admin_key)
            assert [one["id"] for one in found.body["items"]] == [made_id], (path, search)
    for path in (*made, "customers"):
        for search in (f"findx{mark}", f"%25{mark}", mark, f"find%25{mark}", made_id_part(made)):
            found = await call(http, "GET", f"/v1/{path}?search={search}", stack.admin_key)
            assert found.body["items"] == [], (path, search)


def made_id_part(made: dict[str, str]) -> str:
    """The beginning of an id: only a whole one is found."""
    return made["keys"][:-2]


async def test_a_search_sees_only_what_the_administrator_manages(
    admin: Client, http: ClientSession, stack: RunningStack
) -> None:
    mark = uuid4().hex
    programme = await admin.create_programme(mark, "Elsewhere")
    chief = await admin.create_staff(f"chief-{mark}@example.org", "admin", programmes=[mark])
    await admin.create_key(f"Find {mark}", ["data:read"])
    inside = await admin.create_key(f"Find {mark}", ["data:read"], programmes=[programme.id])
    who = {"email": chief.email, "password": chief.password}
    token = (await call(http, "POST", "/v1/auth/login", "", who)).body["token"]
    found = await call(http, "GET", f"/v1/keys?search=find%20{mark}", token)
    assert [one["id"] for one in found.body["items"]] == [inside.id]
