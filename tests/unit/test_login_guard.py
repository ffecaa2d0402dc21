"""Guessing is slowed per address, an account is never locked for its owner."""

import pytest
from aiohttp.test_utils import make_mocked_request

from fitstream.errors import TooMany
from fitstream.gateway.login_guard import LoginGuard
from fitstream.gateway.view.addresses import address_of, without_port


def test_an_address_that_guesses_one_account_is_told_to_wait() -> None:
    guard = LoginGuard()
    for _ in range(10):
        guard.take("9.9.9.9", "A@x.org ")
    with pytest.raises(TooMany) as error:
        guard.take("9.9.9.9", "a@x.org")
    assert 0 < error.value.retry_after_s <= 6


def test_a_right_password_costs_no_try() -> None:
    guard = LoginGuard()
    for _ in range(100):
        guard.take("9.9.9.9", "a@x.org")
        guard.give_back("9.9.9.9", "a@x.org")


def test_the_owner_at_another_address_is_not_locked_out() -> None:
    guard = LoginGuard()
    for _ in range(10):
        guard.take("9.9.9.9", "a@x.org")
    guard.take("1.1.1.1", "a@x.org")


def test_an_address_that_tries_many_accounts_is_told_to_wait() -> None:
    guard = LoginGuard()
    for number in range(60):
        guard.take("9.9.9.9", f"{number}@x.org")
    with pytest.raises(TooMany):
        guard.take("9.9.9.9", "new@x.org")


@pytest.mark.parametrize(
    ("forwarded", "trusted", "address"),
    [
        ('for="9.9.9.9"', "127.0.0.0/8", "9.9.9.9"),
        ('for="9.9.9.9"', "", "127.0.0.1"),
        ('for="9.9.9.9"', "10.0.0.1", "127.0.0.1"),
        ('for="6.6.6.6", for="9.9.9.9"', "127.0.0.1", "9.9.9.9"),
        ('for="9.9.9.9", for="127.0.0.1"', "127.0.0.1", "9.9.9.9"),
        ("nonsense", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    forwarded: str, trusted: str, address: str
) -> None:
    class Transport:
        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("127.0.0.1", 1234) if name == "peername" else default

    request = make_mocked_request(
        "POST", "/", headers={"Forwarded": forwarded}, transport=Transport()
    )
    assert address_of(request, trusted) == address


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ('"[2001:db8::1]:4711"', "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_a_port_does_not_make_another_address(node: str, address: str) -> None:
    assert without_port(node) == address
