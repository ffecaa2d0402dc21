"""Where people are sent on: only to pages of ours, and never by a broken header."""

import pytest
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict

from fitstream.gateway.admin import door as admin_door
from fitstream.gateway.pages import door as pages_door
from fitstream.gateway.view.templates import see

HOSTILE = [
    "/admin\r\nSet-Cookie: x=y",
    "/today\r\nSet-Cookie: x=y",
    "/admin\n",
    "/today\x00",
    "/today\u2028",
    "https://thief.example.org/",
    "//thief.example.org/today",
    "/\\thief.example.org",
    "/today\\..",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_after_a_login_nobody_is_sent_elsewhere_or_by_a_broken_header(target: str) -> None:
    assert admin_door._local(target) == admin_door.HOME
    assert pages_door._local(target) == pages_door.HOME


@pytest.mark.parametrize("target", [*HOSTILE, "/verify?token=\r\nX", "/weeks/\ud800", "/\xfc"])
def test_a_redirect_is_always_a_header_that_can_be_sent(target: str) -> None:
    location = see(target).headers["Location"]
    assert location.isascii()
    assert location.isprintable()
    _serialize_headers("HTTP/1.1 303 See Other", CIMultiDict({"Location": location}))


@pytest.mark.parametrize("target", ["/a?b=c%20d&e=f#g", "https://x.example:8443/y?z=[1]", "app:/b"])
def test_an_address_that_needs_no_care_stays_as_it_is(target: str) -> None:
    assert see(target).headers["Location"] == target
