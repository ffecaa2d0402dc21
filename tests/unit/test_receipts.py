"""A signed receipt verifies with the published keys, also with another implementation, until
one byte of it is changed."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as other_jws
from joserfc.jwk import KeySet

from fitstream.errors import Rejected
from fitstream.receipts import TYPE, PublicKey, Signer, public_key, verify
from tests.factories import KEY, OLD_KEY

NEW, OLD = base64.b64decode(KEY), base64.b64decode(OLD_KEY)
PAYLOAD = b'{"batch_id":"b","accepted":96}'


def signed(payload: bytes = PAYLOAD, master: bytes = NEW) -> str:
    return Signer([master]).sign(payload).decode()


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(st.binary(max_size=400))
def test_what_was_signed_comes_back(payload: bytes) -> None:
    signer = Signer([NEW])
    assert verify(signer.sign(payload).decode(), signer.public) == payload


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # for the name, not the algorithm
def test_another_implementation_verifies_it_with_the_published_keys() -> None:
    keys = KeySet.import_key_set(json.loads(Signer([NEW]).jwk_set()))
    found = other_jws.deserialize_compact(signed(), keys, algorithms=["EdDSA"])
    assert found.payload == PAYLOAD
    assert found.headers() == {"alg": "EdDSA", "kid": Signer([NEW]).public[0].kid, "typ": TYPE}


def test_the_key_id_begins_the_thumbprint_that_another_implementation_computes() -> None:
    key = KeySet.import_key_set(json.loads(Signer([NEW]).jwk_set())).keys[0]
    assert key.thumbprint().startswith(Signer([NEW]).public[0].kid)


def test_a_receipt_of_before_a_rotation_still_verifies_and_new_ones_use_the_new_key() -> None:
    rotated = Signer([NEW, OLD])
    assert verify(signed(master=OLD), rotated.public) == PAYLOAD
    assert rotated.sign(PAYLOAD).decode() == signed(master=NEW)
    assert [key.kid for key in rotated.public] == [
        Signer([master]).public[0].kid for master in (NEW, OLD)
    ]


def test_the_key_of_another_deployment_is_unknown() -> None:
    with pytest.raises(Rejected) as refused:
        verify(signed(master=OLD), Signer([NEW]).public)
    assert refused.value.code == "unknown_key"


def test_a_wrong_key_under_a_known_id_is_a_bad_signature() -> None:
    known = Signer([NEW]).public[0]
    other = Signer([OLD]).public[0]
    with pytest.raises(Rejected) as refused:
        verify(signed(master=OLD), [other._replace(raw=known.raw)])
    assert refused.value.code == "bad_signature"


@given(st.data())
def test_a_changed_character_is_found(data: st.DataObject) -> None:
    text = signed()
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    with pytest.raises(Rejected):
        verify(text[:at] + put + text[at + 1 :], Signer([NEW]).public)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"typ": "JWT"},
        {"crit": ["exp"]},
        {"kid": None},
    ],
)
def test_other_kinds_of_tokens_are_refused(header: dict[str, object]) -> None:
    whole = {"alg": "EdDSA", "typ": TYPE, "kid": Signer([NEW]).public[0].kid} | header
    _, body, mark = signed().split(".")
    with pytest.raises(Rejected) as refused:
        verify(f"{part(whole)}.{body}.{mark}", Signer([NEW]).public)
    assert refused.value.code == "unreadable"


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "é.é.é", "....", "{}"])
def test_what_is_no_jws_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        verify(text, Signer([NEW]).public)


def test_keys_are_published_without_what_signs() -> None:
    assert all(set(key.jwk()) == {"kty", "crv", "x", "kid", "use", "alg"} for key in _both())
    assert all(public_key(key.raw) == key for key in _both())


def _both() -> list[PublicKey]:
    return list(Signer([NEW, OLD]).public)
