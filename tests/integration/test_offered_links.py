"""Staff's pages offer what whoever looks may use: every link and form of every page, as each role.

A form is sent without its token. The guard asks the policy first, so that the answer tells whether
the form could have been sent, and nothing is changed.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import ClientSession, CookieJar, FormData

from fitstream.client import Client
from fitstream.repo.database import open_repo
from tests.conftest import RunningStack
from tests.integration.test_role_walk import one_of_everything
from tests.real import day_of_samples, last_monday, with_device

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PASSWORD = "walking-slowly-1"
ROLES = ("admin", "analyst", "support")
PER_SHAPE = 2
CARD = "/admin/models/*"  # models that tests write into the table have no card in the store
ID = re.compile(r"^(\d+|[a-z]{3}_\w+|\d{4}-W\d\d|.*\d.*|[^/]*%20.*)$")


class Form(NamedTuple):
    """A form that changes something."""

    action: str
    is_file: bool


class Offered(HTMLParser):
    """Links and forms of one page."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._base = base

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "hx-get" in found:
            self.links.append(urljoin(self._base, found["hx-get"]))
        if tag == "a" and "href" in found:
            self.links.append(urljoin(self._base, found["href"]))
        if tag == "form":
            action = urljoin(self._base, found.get("action") or self._base)
            if found.get("method") == "post":
                self.forms.append(Form(action, found.get("enctype") == "multipart/form-data"))
            else:
                self.links.append(action)


def shape_of(path: str) -> str:
    """A path with its ids left out: pages of one kind."""
    return "/".join("*" if ID.match(part) else part for part in path.split("/"))


class Walk:
    """One person's way through all pages that are offered to them."""

    def __init__(self, http: ClientSession) -> None:
        self._http = http
        self._seen: set[str] = set()
        self._shapes: dict[str, int] = {}
        self.dead_ends: list[str] = []

    @property
    def shapes(self) -> set[str]:
        """Kinds of pages and forms that were met."""
        return set(self._shapes)

    async def follow(self, *starts: str) -> None:
        """Everything that can be reached from `starts`, two of each kind."""
        waiting = list(starts)
        while waiting:
            path = waiting.pop(0)
            if not self._is_new(f"GET {path}"):
                continue
            async with self._http.get(path) as answer:
                is_cardless = answer.status == 404 and shape_of(path) == CARD
                if answer.status != 200 and not is_cardless:
                    self.dead_ends.append(f"{answer.status} {path}")
                if answer.content_type != "text/html":
                    continue
                offered = Offered(path)
                offered.feed(await answer.text())
            for form in offered.forms:
                await self._try(form)
            waiting += [link for link in offered.links if link.startswith("/admin")]

    async def _try(self, form: Form) -> None:
        if not self._is_new(f"POST {form.action}"):
            return
        data = FormData({"csrf": "none"}, default_to_multipart=form.is_file)
        async with self._http.post(form.action, data=data, allow_redirects=False) as answer:
            text = unescape(await answer.text())
        if answer.status != 403 or "This form has expired" not in text:
            self.dead_ends.append(f"{answer.status} {form.action}")

    def _is_new(self, call: str) -> bool:
        url = urlsplit(call)
        shape = shape_of(url.path)
        known = url._replace(fragment="").geturl()
        if known in self._seen or self._shapes.get(shape, 0) >= PER_SHAPE:
            return False
        self._seen.add(known)
        self._shapes[shape] = self._shapes.get(shape, 0) + 1
        return True


@asynccontextmanager
async def logged_in(stack: RunningStack, email: str) -> AsyncIterator[ClientSession]:
    """A browser without scripts in which somebody of the staff has logged in."""
    async with ClientSession(stack.gateway, cookie_jar=CookieJar(unsafe=True)) as http:
        async with http.get("/admin/login") as answer:
            token = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
        assert token is not None
        form = {"csrf": token[1], "email": email, "password": PASSWORD}
        async with http.post("/admin/login", data=form) as answer:
            assert answer.url.path == "/admin"
        yield http


@pytest.fixture(scope="module")
async def customer(admin: Client, stack: RunningStack) -> str:
    """One with data, an upload, a job, a run, a model and a dead letter, in its own programme."""
    mark = secrets.token_hex(4)
    await admin.create_programme(f"links-{mark}", "Links")
    made = await admin.create_customer("UTC", programme=f"links-{mark}", email=f"{mark}@x.org")
    wearer = await with_device(admin, made)
    await wearer.post(day_of_samples(last_monday()))
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        await one_of_everything(db, made.id, mark)
    await admin.uploads().save_mapping("walked", SPEC, f"links-{mark}")
    return made.id


SPEC = {"columns": [{"column": "a", "to": "slot"}, {"column": "b", "to": "steps"}]}


@pytest.mark.parametrize("is_limited", [False, True], ids=["everywhere", "one programme"])
@pytest.mark.parametrize("role", ROLES)
async def test_nothing_is_offered_that_a_role_may_not_use(
    admin: Client, stack: RunningStack, customer: str, role: str, is_limited: bool
) -> None:
    email = f"{role}-{secrets.token_hex(4)}@example.org"
    programme = (await admin.customer(customer)).programme
    programmes = [programme] if is_limited else None
    await admin.create_staff(email, role, password=PASSWORD, programmes=programmes)
    async with logged_in(stack, email) as http:
        walk = Walk(http)
        await walk.follow(f"/admin/customers/{customer}", "/admin", "/admin/customers")
    assert walk.dead_ends == []
    may_change = {"admin": "account/standing", "support": "devices", "analyst": "weeks"}[role]
    kind = "GET" if role == "analyst" else "POST"
    assert f"{kind} /admin/customers/*/{may_change}" in walk.shapes
    for page in ("people", "keys", "clients", "audit"):
        assert (f"GET /admin/{page}" in walk.shapes) == (role == "admin")
    assert ("GET /admin/uploads/*" in walk.shapes) == (role != "analyst")
