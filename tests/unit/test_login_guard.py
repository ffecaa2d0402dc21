"""Guessing is slowed per address, an account is never locked for its owner."""

import pytest
from aiohttp.test_utils import make_mocked_request

from fitstream.gateway.login_guard import wait_s
from fitstream.gateway.view.addresses import address_of, without_port


@pytest.mark.parametrize(("left", "wait"), [(1000, 0), (980, 0), (970, 1.0), (940, 4.0), (0, 4.0)])
def test_an_account_makes_who_tries_it_wait_but_never_long(left: float, wait: float) -> None:
    assert wait_s(left) == pytest.approx(wait)


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
