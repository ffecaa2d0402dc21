"""Digest with random keys: what fits passes once, on any gateway, for a minute."""

import base64
from datetime import timedelta
from hashlib import sha256

import pytest

from fitstream.errors import Rejected
from fitstream.gateway import digest
from fitstream.gateway.digest import Digest, Given, parse
from fitstream.ids import new_key
from tests.factories import KEY, NOW, OLD_KEY

MASTER, OLD = base64.b64decode(KEY), base64.b64decode(OLD_KEY)
ASKED = ("POST", "/v1/samples?device_id=dev_1")
KEY_TEXT = new_key().text


def hexed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def nonce_of(server: Digest) -> str:
    return server.challenge(NOW).partition('nonce="')[2].partition('"')[0]


def answer(nonce: str, nc: int = 1, uri: str = ASKED[1], key: str = KEY_TEXT) -> Given:
    """What RFC 7616 says a client answers."""
    _, key_id, secret = key.split("_")
    ha1, ha2 = hexed(f"{key_id}:fitstream:{secret}"), hexed(f"POST:{uri}")
    count = f"{nc:08x}"
    response = hexed(f"{ha1}:{nonce}:{count}:abc:auth:{ha2}")
    return Given(key_id, nonce, uri, count, "abc", response)


def code_of(server: Digest, given: Given, sealed: bytes, seconds: float = 0) -> str:
    try:
        server.check(given, sealed, ASKED, NOW + timedelta(seconds=seconds))
    except Rejected as error:
        return error.code if error.status == 401 else f"{error.code} as {error.status}"
    return ""


def test_a_right_answer_passes_and_the_same_again_is_stale() -> None:
    server = Digest([MASTER])
    sealed, given = server.seal_ha1(KEY_TEXT), answer(nonce_of(server))
    assert code_of(server, given, sealed) == ""
    assert code_of(server, given, sealed) == "stale_nonce"


def test_counts_of_one_nonce_may_overtake_each_other_but_none_comes_twice() -> None:
    server = Digest([MASTER])
    sealed, nonce = server.seal_ha1(KEY_TEXT), nonce_of(server)
    for nc, code in ((3, ""), (1, ""), (2, ""), (2, "stale_nonce"), (900, ""), (4, "stale_nonce")):
        assert code_of(server, answer(nonce, nc), sealed) == code, nc


def test_another_gateway_takes_the_nonce_and_what_was_sealed() -> None:
    one, other = Digest([MASTER]), Digest([MASTER])
    assert code_of(other, answer(nonce_of(one)), one.seal_ha1(KEY_TEXT)) == ""


def test_a_rotated_secret_key_still_opens_and_a_lost_one_refuses() -> None:
    before, after, lost = Digest([OLD]), Digest([MASTER, OLD]), Digest([MASTER])
    sealed, given = before.seal_ha1(KEY_TEXT), answer(nonce_of(before))
    assert code_of(after, given, sealed) == ""
    assert code_of(lost, given, sealed) == "unauthorized"


def test_an_old_nonce_is_stale_only_to_who_knows_the_key() -> None:
    server = Digest([MASTER])
    sealed, nonce = server.seal_ha1(KEY_TEXT), nonce_of(server)
    assert code_of(server, answer(nonce, 1), sealed, 59) == ""
    assert code_of(server, answer(nonce, 2), sealed, 61) == "stale_nonce"
    assert code_of(server, answer(nonce, key=new_key().text), sealed, 61) == "unauthorized"


@pytest.mark.parametrize(
    "nonce", ["", "x", "AAAA", base64.b64encode(b"\0" * 32).decode(), "!" * 44]
)
def test_a_nonce_that_is_not_ours_is_never_taken(nonce: str) -> None:
    server = Digest([MASTER])
    assert code_of(server, answer(nonce), server.seal_ha1(KEY_TEXT)) == "stale_nonce"


def test_another_address_method_or_keys_secret_does_not_fit() -> None:
    server = Digest([MASTER])
    sealed, given = server.seal_ha1(KEY_TEXT), answer(nonce_of(server))
    assert code_of(server, answer(given.nonce, uri="/v1/samples"), sealed) == "unauthorized"
    assert code_of(server, given._replace(uri="/v1/samples"), sealed) == "unauthorized"
    assert code_of(server, given, server.seal_ha1(new_key().text)) == "unauthorized"
    with pytest.raises(Rejected):
        server.check(given, sealed, ("PUT", ASKED[1]), NOW)


def test_what_is_sealed_is_not_the_secret() -> None:
    server = Digest([MASTER])
    secret = KEY_TEXT.split("_")[2]
    sealed = server.seal_ha1(KEY_TEXT)
    assert secret.encode() not in sealed
    assert bytes.fromhex(hexed(f"{KEY_TEXT.split('_')[1]}:fitstream:{secret}")) not in sealed


GOOD = (
    'Digest username="k", realm="fitstream", nonce="n", uri="/a?b=1,2", algorithm=SHA-256,'
    ' qop=auth, nc=0000000a, cnonce="c\\"c", response="r"'
)


def test_a_header_is_read_with_its_quotes_and_commas() -> None:
    assert parse(GOOD) == Given("k", "n", "/a?b=1,2", "0000000a", 'c"c', "r")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SHA-256", "MD5"),
        ("algorithm=SHA-256,", ""),
        ("qop=auth", "qop=auth-int"),
        ("qop=auth,", ""),
        ('realm="fitstream"', 'realm="x"'),
        ("nc=0000000a", "nc=a"),
        ("nc=0000000a", "nc=00000000"),
        ('cnonce="c\\"c"', 'cnonce=""'),
        ('username="k", ', ""),
        ("Digest ", "Digest"),
        (GOOD, "Digest"),
        (GOOD, "Digest ="),
        (GOOD, "Digest a"),
        (GOOD, 'Digest a="'),
    ],
)
def test_a_header_of_another_kind_is_refused(old: str, new: str) -> None:
    with pytest.raises(Rejected) as error:
        parse(GOOD.replace(old, new))
    assert error.value.status == 401


def test_a_challenge_says_stale_only_when_it_is() -> None:
    server = Digest([MASTER])
    assert "stale" not in server.challenge(NOW)
    assert server.challenge(NOW, stale=True).endswith("stale=true")
    assert 'qop="auth", algorithm=SHA-256' in server.challenge(NOW)
    assert digest.NONCE_S == 60
