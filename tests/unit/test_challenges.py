"""What is said about a credential that did not do, and where an app may be sent back to."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fitstream.errors import NotFound, Rejected
from fitstream.gateway.challenges import bearer
from fitstream.gateway.oauth.records import Client
from fitstream.repo.oauth import ClientRow

ENDED = Rejected("unauthorized", 'the "token" has ended…\\ refresh `it`', 401)
NARROW = Rejected("insufficient_scope", "this credential needs the scope data:read", 403)


def test_a_token_that_failed_is_called_invalid() -> None:
    assert bearer(ENDED, "bearer fsa_x", "samples") == (
        'Bearer realm="fitstream", error="invalid_token", '
        "error_description=\"the 'token' has ended.../ refresh 'it'\""
    )


def test_who_showed_no_token_is_told_no_reason() -> None:
    for header in ("", "Basic eDp5", 'Digest username="x"'):
        assert bearer(ENDED, header, "samples") == 'Bearer realm="fitstream"'


def test_a_wrong_password_says_nothing_about_the_token_beside_it() -> None:
    wrong = Rejected("wrong_credentials", "no", 401)
    assert bearer(wrong, "Bearer fsa_x", "login") == 'Bearer realm="fitstream"'


def test_a_token_that_may_too_little_is_told_which_scope_it_lacks() -> None:
    found = bearer(NARROW, "Bearer fsa_x", "samples")
    assert found is not None
    assert 'error="insufficient_scope"' in found
    assert found.endswith('scope="data:read"')
    assert bearer(Rejected("forbidden", "no", 403), "Bearer x", "samples") is None
    assert bearer(NotFound("x"), "Bearer x", "samples") is None


def client(*redirect_uris: str, secret_sha: bytes | None = None) -> Client:
    fields: dict[str, Any] = dict.fromkeys(ClientRow.__struct_fields__)
    fields |= {"redirect_uris": list(redirect_uris), "secret_sha": secret_sha}
    return Client(ClientRow(**fields | {"created_at": datetime.now(UTC)}))


@pytest.mark.parametrize(
    ("registered", "asked", "is_taken"),
    [
        ("http://127.0.0.1/back", "http://127.0.0.1:49152/back", True),
        ("http://127.0.0.1:1/back?a=b", "http://127.0.0.1:49152/back?a=b", True),
        ("http://[::1]/back", "http://[::1]:8000/back", True),
        ("http://127.0.0.1/back", "http://127.0.0.1/back", True),
        ("http://127.0.0.1/back", "http://127.0.0.1:49152/other", False),
        ("http://127.0.0.1/back", "http://127.0.0.1:49152/back/", False),
        ("http://127.0.0.1/back", "http://127.0.0.1:49152/back?x=1", False),
        ("http://127.0.0.1/back", "http://127.0.0.1:0/back", False),
        ("http://127.0.0.1/back", "http://127.0.0.1:65536/back", False),
        ("http://127.0.0.1/back", "http://127.0.0.1:x@thief.example.org/back", False),
        ("http://127.0.0.1/back", "http://127.0.0.1:80@thief.example.org/back", False),
        ("http://127.0.0.1/back", "http://127.0.0.1.thief.example.org/back", False),
        ("http://127.0.0.1/back", "https://127.0.0.1:49152/back", False),
        ("http://127.0.0.1/back", "http://[::1]:49152/back", False),
        ("http://localhost/back", "http://localhost:49152/back", False),
        ("https://coach.example.org/back", "https://coach.example.org:444/back", False),
    ],
)
def test_an_app_may_use_any_port_of_its_loopback_address_and_change_nothing_else(
    registered: str, asked: str, is_taken: bool
) -> None:
    assert client(registered).check_redirect_uri(asked) is is_taken


def test_a_program_with_a_secret_names_its_address_to_the_letter() -> None:
    server = client("http://127.0.0.1:8000/back", secret_sha=b"x")
    assert server.check_redirect_uri("http://127.0.0.1:8000/back")
    assert not server.check_redirect_uri("http://127.0.0.1:8001/back")
