"""Guessing is slowed per address, an account is never locked for its owner."""

import pytest
from aiohttp.test_utils import make_mocked_request

from fitstream.errors import TooMany
from fitstream.gateway.login_guard import LoginGuard, address_of
from fitstream.settings import load


def test_an_address_that_guesses_one_account_is_told_to_wait() -> None:
    guard = LoginGuard()
    for _ in range(10):
        guard.check("9.9.9.9", "a@x.org")
        guard.note_failure("9.9.9.9", "A@x.org ")
    with pytest.raises(TooMany) as error:
        guard.check("9.9.9.9", "a@x.org")
    assert 0 < error.value.retry_after_s <= 6


def test_the_owner_at_another_address_is_not_locked_out() -> None:
    guard = LoginGuard()
    for _ in range(100):
        guard.note_failure("9.9.9.9", "a@x.org")
    guard.check("1.1.1.1", "a@x.org")


def test_an_address_that_tries_many_accounts_is_told_to_wait() -> None:
    guard = LoginGuard()
    for number in range(60):
        guard.note_failure("9.9.9.9", f"{number}@x.org")
    with pytest.raises(TooMany):
        guard.check("9.9.9.9", "new@x.org")


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
    settings = load(
        {
            "FITSTREAM_KAFKA": "k",
            "FITSTREAM_POSTGRES": "p",
            "FITSTREAM_REDIS": "r",
            "FITSTREAM_SECRET_KEY": "s",
            "FITSTREAM_TRUSTED_PROXIES": trusted,
        }
    )
    assert address_of(request, settings) == address
