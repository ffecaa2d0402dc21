"""Failures count over all gateways: two guards on one database agree."""

from uuid import uuid4

import msgspec
import pytest

from fitstream.errors import TooMany
from fitstream.gateway.login_guard import LoginGuard
from fitstream.repo.database import Repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings

pytestmark = pytest.mark.stack


@pytest.fixture
def two(repo: Repo, services: Settings) -> tuple[LoginGuard, LoginGuard]:
    """The guards of two gateways."""
    settings = msgspec.structs.replace(services, auth_burst=20, auth_rate_per_s=0.01)
    masters = master_keys(settings)
    return LoginGuard(repo, masters, settings), LoginGuard(repo, masters, settings)


@pytest.fixture
def address() -> str:
    """An address nobody else uses."""
    return uuid4().hex


async def test_who_guesses_one_account_waits_at_every_gateway(
    two: tuple[LoginGuard, LoginGuard], address: str
) -> None:
    for number in range(10):
        await two[number % 2].take(address, f"{address}@X.org ")
    for guard in two:
        with pytest.raises(TooMany) as error:
            await guard.take(address, f"{address}@x.org")
        assert 0 < error.value.retry_after_s <= 6


async def test_guesses_count_by_what_is_typed_whosever_account_it_is_by_then(
    two: tuple[LoginGuard, LoginGuard], address: str
) -> None:
    for number in range(10):
        await two[number % 2].take(address, f"{address}-{number}@x.org", "Ada")
    with pytest.raises(TooMany):
        await two[0].take(address, f"{address}@x.org", " ada")
    await two[0].take(address, f"{address}@x.org", "grace")


async def test_the_owner_at_another_address_is_not_locked_out(
    two: tuple[LoginGuard, LoginGuard], address: str
) -> None:
    for _ in range(10):
        await two[0].take(address, f"{address}@x.org")
    await two[1].take(f"{address}-home", f"{address}@x.org")


async def test_a_right_password_costs_no_try(
    two: tuple[LoginGuard, LoginGuard], address: str
) -> None:
    for number in range(30):
        guess = await two[number % 2].take(address, f"{address}@x.org")
        await two[number % 2].give_back(guess)


async def test_who_tries_many_accounts_waits_at_every_gateway(
    two: tuple[LoginGuard, LoginGuard], address: str
) -> None:
    for number in range(20):
        await two[number % 2].take(address, f"{number}-{address}@x.org")
    for guard in two:
        with pytest.raises(TooMany):
            await guard.take(address, f"new-{address}@x.org")
        with pytest.raises(TooMany):
            await guard.take_request(address)


async def test_an_address_gets_three_mails_and_then_has_to_wait(
    two: tuple[LoginGuard, LoginGuard], address: str
) -> None:
    asked = [await two[number % 2].may_mail(f"{address}@x.org") for number in range(4)]
    assert asked == [True, True, True, False]


async def test_no_address_stands_in_the_database(
    two: tuple[LoginGuard, LoginGuard], repo: Repo, address: str
) -> None:
    await two[0].take(address, f"{address}@x.org")
    async with repo.connection() as db:
        keys = [row["key"] for row in await db.fetch("SELECT key FROM throttle")]
    assert keys
    assert not any(address.encode() in key for key in keys)
