"""Every route of the gateway has its entry of who may call it; pages guard themselves."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fitstream.errors import NotFound, Rejected, Unavailable
from fitstream.gateway import policy, scoping
from fitstream.gateway.app import make_app
from fitstream.gateway.principal import ANONYMOUS, Principal
from fitstream.settings import load
from tests.factories import SETTINGS

PAGES = "admin:"
OPEN_PAGES = {"admin:login", "admin:log_in", "admin:log_in_code", "admin:home"}
FREE = {"rest", "path", "session", "grant", "uid", "object", "mapping", "mail"}
DEVICE = Principal("device", "k", customer_id="cus_1", device_id="dev_1")
ADMIN_KEY = Principal("admin", "k", account_id="acc_1")
ADMIN = Principal("admin", account_id="acc_1", email="a@example.org")
CUSTOMER = Principal("customer", account_id="acc_2", customer_id="cus_1", email="c@example.org")
EVERYBODY = (ANONYMOUS, DEVICE, ADMIN_KEY, ADMIN, CUSTOMER)


class Away:
    """A resource that never answers: nothing that a guard decides may need it."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def fail(*_: Any, **__: Any) -> Any:
            raise Unavailable("test", name)

        return fail


def opener(_: Any) -> AbstractAsyncContextManager[Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Away]:
        yield Away()

    return opened()


def application() -> web.Application:
    return make_app(
        load(SETTINGS), repo=opener, producer=opener, store=opener, observer=opener
    )  # fmt: skip


def routes() -> list[tuple[str, str, str]]:
    """(method, path, name) of every route that can be reached."""
    found = []
    for route in application().router.routes():
        assert route.resource is not None
        found.append((route.method, route.resource.canonical, route.name or "unnamed"))
    return found


def test_every_route_and_every_page_has_an_entry() -> None:
    missing = {
        f"{method} {path} ({name})" for method, path, name in routes() if name not in policy.POLICY
    }
    assert not missing


def test_every_entry_belongs_to_a_route() -> None:
    names = {name for _, _, name in routes()}
    assert set(policy.POLICY) - names <= {"static"}


def test_a_route_that_is_open_to_its_own_customer_names_one() -> None:
    own = {name for name, rule in policy.POLICY.items() if "own" in rule.who}
    assert own
    for _, path, name in routes():
        if name in own:
            assert path.startswith("/v1/customers/{customer}")


def test_what_is_open_to_anyone_is_this_and_no_more() -> None:
    anyone = {name for name, rule in policy.POLICY.items() if "anyone" in rule.who}
    named = {"time", "healthz", "readyz", "metrics", "login", "static", "receipt_keys"}
    named |= {"openapi", "docs"}
    named |= {"registration", "register", "show_link", "verify", "ask_reset", "reset", "accept"}
    named |= {"second_factor_login", "dev_mail", "dev_mail_one"}
    named |= {"oauth_metadata", "oauth_authorize"}
    named |= {"pair_start", "pair_poll", "pair_redeem"}
    named |= {"legacy_login", "legacy_register", "legacy_verify", "legacy_reset"}
    named |= OPEN_PAGES
    assert anyone == named


def test_what_authenticates_its_caller_itself_is_the_protocol_of_oauth() -> None:
    own_way = {name for name in policy.POLICY if policy.authenticates_itself(name)}
    assert own_way == {"oauth_token", "oauth_revoke", "oauth_introspect", "oauth_device"}


def passes(name: str, principal: Principal, customer: str | None = None) -> bool:
    try:
        policy.check(name, principal, customer)
    except (Rejected, NotFound):
        return False
    return True


@pytest.mark.parametrize("principal", EVERYBODY, ids=lambda value: value.role + value.key_id)
def test_a_route_without_an_entry_is_open_to_nobody(principal: Principal) -> None:
    for name in ("unnamed", "", "new_route", "admin:new"):
        with pytest.raises(Rejected) as error:
            policy.check(name, principal, "cus_1")
        assert error.value.status == 403


@pytest.mark.parametrize("name", sorted(policy.POLICY))
def test_each_kind_of_caller_passes_only_where_the_policy_names_it(name: str) -> None:
    who = policy.POLICY[name].who
    anyone = bool(who & {"anyone", "client"})
    assert passes(name, ANONYMOUS, "cus_1") == anyone
    assert passes(name, DEVICE, "cus_1") == (anyone or "device" in who)
    assert passes(name, ADMIN, "cus_1") == (anyone or bool(who & {"admin", "person"}))
    assert passes(name, ADMIN_KEY, "cus_1") == (anyone or bool(who & {"admin", "person"}))
    assert passes(name, CUSTOMER, "cus_1") == (anyone or bool(who & {"own", "person", "customer"}))


def test_another_customer_does_not_exist_for_a_customer() -> None:
    for name, rule in policy.POLICY.items():
        if "own" in rule.who:
            with pytest.raises(NotFound):
                policy.check(name, CUSTOMER, "cus_2")
            with pytest.raises(NotFound):
                policy.check(name, CUSTOMER, None)


def test_a_customers_account_without_a_customer_sees_nobody() -> None:
    lost = CUSTOMER._replace(customer_id=None)
    for name, rule in policy.POLICY.items():
        if "own" in rule.who:
            assert not passes(name, lost, None)
            assert not passes(name, lost, "cus_1")


def test_a_stranger_is_told_to_authenticate_and_a_known_caller_that_it_may_not() -> None:
    with pytest.raises(Rejected) as error:
        policy.check("jobs", ANONYMOUS, None)
    assert error.value.status == 401
    with pytest.raises(Rejected) as error:
        policy.check("jobs", DEVICE, None)
    assert error.value.status == 403


async def test_every_route_but_the_open_ones_refuses_a_stranger() -> None:
    async with TestClient(TestServer(application())) as client:
        for method, path, name in routes():
            if name in OPEN_PAGES or policy.POLICY[name].who & {"anyone", "client"}:
                continue
            address = path.replace("{rest}", "x").replace("{", "").replace("}", "")
            async with client.request(method, address, allow_redirects=False) as response:
                where = response.headers.get("Location", "")
                if name.startswith(PAGES) and method in ("GET", "HEAD"):
                    assert (response.status, where[:12]) == (303, "/admin/login"), name
                elif name.startswith(PAGES):
                    assert response.status in (303, 403), name
                    assert where in ("", "/admin/login"), name
                else:
                    assert response.status == 401, name


def test_scopes_narrow_what_a_credential_may_and_never_widen_it() -> None:
    program = Principal("program", "k", scopes=frozenset({"data:read"}))
    assert passes("days", program, "cus_1")
    assert not passes("models", program)
    assert not passes("logout", program)
    for name, rule in policy.POLICY.items():
        is_open = bool(rule.who & {"anyone", "client"})
        assert passes(name, program._replace(scopes=frozenset()), "cus_1") == is_open
        assert passes(name, CUSTOMER._replace(scopes=frozenset()), "cus_1") == is_open
        all_scopes = CUSTOMER._replace(scopes=frozenset(policy.SCOPES))
        may = rule.scope is not None and bool(rule.who & {"own", "person", "customer"})
        assert passes(name, all_scopes, "cus_1") == (is_open or may)


def test_every_name_in_a_path_is_looked_up_or_lies_inside_one_that_is() -> None:
    for _, path, name in routes():
        names = re.findall(r"{(\w+)", path)
        assert set(names) <= set(scoping.LOOKUPS) | scoping.INSIDE | scoping.MANAGED, name
        assert not names or names[0] in {*scoping.LOOKUPS, *scoping.MANAGED, *FREE}, name


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer fs_a", "Basic", "Basic !!!", "Digest x", "Bearer \xff",
     "Bearer fs_a_\xff", "Basic ZnM6AA==", "Basic /w=="],
)  # fmt: skip
async def test_a_credential_that_cannot_be_read_is_refused(header: str) -> None:
    async with (
        TestClient(TestServer(application())) as client,
        client.get("/v1/jobs", headers={"Authorization": header}) as response,
    ):
        assert response.status == 401
