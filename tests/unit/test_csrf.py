"""A form's token belongs to one session, and a request to one site."""

import base64

import pytest

from fitstream import csrf
from fitstream.errors import Rejected

KEY = base64.b64encode(b"k" * 32).decode()
OLD = base64.b64encode(b"o" * 32).decode()


def test_a_token_is_stable_and_belongs_to_its_session() -> None:
    token = csrf.token(KEY, "session")
    assert token == csrf.token(KEY, "session")
    assert csrf.is_token((KEY,), "session", token)
    assert not csrf.is_token((KEY,), "another", token)


def test_a_token_does_not_reveal_its_session() -> None:
    assert "session" not in csrf.token(KEY, "session")


def test_a_token_of_the_key_before_still_counts_while_rotating() -> None:
    token = csrf.token(OLD, "session")
    assert csrf.is_token((KEY, OLD), "session", token)
    assert not csrf.is_token((KEY, ""), "session", token)


@pytest.mark.parametrize("given", ["", "x", "é", "a" * 4096, "\udcff", "\x00"])
def test_garbage_is_no_token(given: str) -> None:
    with pytest.raises(Rejected) as error:
        csrf.check_token((KEY,), "session", given)
    assert error.value.code == "stale_form"
    assert error.value.status == 403


def test_a_visitor_cookie_is_new_each_time_and_signed() -> None:
    one, other = csrf.new_visitor(KEY), csrf.new_visitor(KEY)
    assert one != other
    assert csrf.is_visitor((KEY,), one)
    assert not csrf.is_visitor((OLD,), one)


@pytest.mark.parametrize("cookie", ["", ".", "seed", "seed.", "seed.mac", "é.é"])
def test_a_forged_visitor_cookie_is_refused(cookie: str) -> None:
    assert not csrf.is_visitor((KEY,), cookie)


def test_a_visitors_signature_is_not_the_token_of_its_forms() -> None:
    visitor = csrf.new_visitor(KEY)
    assert csrf.token(KEY, visitor) not in visitor


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "https://fit.example", "Host": "fit.example"},
        {"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"},
        {"Host": "fit.example"},
    ],
)
def test_our_own_forms_pass(headers: dict[str, str]) -> None:
    csrf.check_origin(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://fit.example", "Host": "fit.example"},
        {"Origin": "https://evil.example", "Host": "fit.example"},
        {"Origin": "https://fit.example:444", "Host": "fit.example"},
        {"Origin": "null", "Host": "fit.example"},
    ],
)
def test_a_request_that_another_site_caused_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Rejected) as error:
        csrf.check_origin(headers)
    assert error.value.code == "cross_site"


@pytest.mark.parametrize("text", ["\udcff", "\ud800.\udfff", "."])
def test_bytes_of_a_cookie_that_are_no_text_are_nobodys(text: str) -> None:
    assert not csrf.is_visitor((KEY,), text)
    assert csrf.token(KEY, text) != csrf.token(KEY, "")


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "\udcff", "http://x:y:z"])
def test_an_origin_that_is_none_is_another_site(origin: str) -> None:
    with pytest.raises(Rejected) as error:
        csrf.check_origin({"Origin": origin, "Host": "here"})
    assert error.value.code == "cross_site"
