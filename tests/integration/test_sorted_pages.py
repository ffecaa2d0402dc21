"""Lists of the administrators' pages are sorted by head and choice; paging and search keep it."""

import re
import secrets
from html import unescape

import pytest

from fitstream.client import Client
from tests.conftest import RunningStack
from tests.integration.test_administration_pages import http, visitor  # noqa: F401
from tests.integration.test_offered_links import PASSWORD, logged_in
from tests.integration.test_pairing_pages import Visitor

pytestmark = pytest.mark.stack
PAGES = ("customers", "people", "keys", "clients", "audit", "jobs", "uploads", "dead-letters")
HEAD = re.compile(r'<th scope="col"[^>]*?(?: aria-sort="(\w+)")?><a class="sort" href="([^"]+)">')
CHOICE = re.compile(r'<select id="sort" name="sort">(.*?)</select>', re.DOTALL)
OPTION = re.compile(r'<option value="([^"]+)"( selected)?>')
NEXT = re.compile(r'href="([^"]+)" rel="next"')


def heads(page: str) -> dict[str, str]:
    """Where the heads lead, with how each stands."""
    return {unescape(href): standing for standing, href in HEAD.findall(page)}


def options(page: str) -> list[tuple[str, bool]]:
    """The orders of the choice, and which one is chosen."""
    found = CHOICE.search(page)
    assert found is not None
    return [(value, bool(chosen)) for value, chosen in OPTION.findall(found[1])]


async def filled(admin: Client) -> str:
    """A mark that one key, one client and one person have."""
    mark = secrets.token_hex(6)
    await admin.create_key(f"list {mark}", ["data:read"])
    await admin.create_oauth_client(
        f"list {mark}", is_confidential=True, grants=["client_credentials"], scopes=["data:read"]
    )
    await admin.create_staff(f"list-{mark}@example.org", "support")
    await admin.create_customer("UTC", external_id=f"list {mark}", name="Ada")
    return mark


@pytest.mark.parametrize("name", PAGES)
async def test_every_order_of_a_list_is_offered_and_shown(
    admin: Client,
    visitor: Visitor,  # noqa: F811
    name: str,
) -> None:
    await filled(admin)
    status, page = await visitor.see(f"/admin/{name}")
    assert status == 200
    offered = options(page)
    assert len([value for value, chosen in offered if chosen]) == 1
    for value, _ in offered:
        status, page = await visitor.see(f"/admin/{name}?sort={value}")
        assert status == 200
        assert [one for one, chosen in options(page) if chosen] == [value]
        standing = "descending" if value.startswith("-") else "ascending"
        shown = {href: said for href, said in heads(page).items() if said}
        other = value.removeprefix("-") if value.startswith("-") else f"-{value}"
        for href, said in shown.items():
            assert (said, href.endswith(f"sort={other}")) == (standing, True)
    for href in heads(page):
        assert (await visitor.see(href))[0] == 200


@pytest.mark.parametrize(
    ("name", "search"),
    [("people", "list-{}"), ("keys", "LIST {}"), ("clients", "list {}"), ("customers", "list {}")],
)
async def test_a_search_finds_and_the_order_keeps_it(
    admin: Client,
    visitor: Visitor,  # noqa: F811
    name: str,
    search: str,
) -> None:
    mark, other = await filled(admin), await filled(admin)
    page = (await visitor.see(f"/admin/{name}?search={search.format(mark)}"))[1]
    assert mark in page
    assert other not in page
    assert all(f"search={search[:4]}" in href for href in heads(page))
    empty = (await visitor.see(f"/admin/{name}?search=nobody-at-all"))[1]
    assert f'<a class="btn" href="/admin/{name}">Show ' in empty


async def test_the_next_page_goes_on_in_the_same_order(
    admin: Client,
    visitor: Visitor,  # noqa: F811
) -> None:
    mark = secrets.token_hex(4)
    for place in range(52):
        await admin.create_key(f"many {mark} {place:02}", ["data:read"])
    page = (await visitor.see(f"/admin/keys?search=many {mark}&sort=-name"))[1]
    following = NEXT.search(page)
    assert following is not None
    rest = (await visitor.see(unescape(following[1])))[1]
    found = re.findall(rf"many {mark} (\d+)<br>", page + rest)
    assert found == [f"{place:02}" for place in reversed(range(52))]
    assert NEXT.search(rest) is None


async def test_analysts_are_offered_no_order_by_what_they_are_not_shown(
    admin: Client, stack: RunningStack
) -> None:
    email = f"analyst-{secrets.token_hex(4)}@example.org"
    await admin.create_staff(email, "analyst", password=PASSWORD)
    await filled(admin)
    async with logged_in(stack, email) as opened:
        page = (await Visitor(opened).see("/admin/customers?sort=name"))[1]
    assert {value.removeprefix("-") for value, _ in options(page)} == {
        "created_at", "last_contact_at",
    }  # fmt: skip
    assert len(heads(page)) == 1
