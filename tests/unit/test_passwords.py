"""Passwords: what is refused, and that a hash opens with its own password only."""

import pytest

from fitstream.errors import Rejected
from fitstream.gateway.passwords import check_strength, hash_password, is_right

EMAIL = "ada.lovelace@example.org"


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "a" * 257,
        "qwertyuiop",
        "Password123",
        "passwordpassword",
        "manchester2019!",
        "abababababab",
        "ada.lovelace1",
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(weak: str) -> None:
    with pytest.raises(Rejected) as error:
        check_strength(weak, EMAIL)
    assert (error.value.code, error.value.status) == ("weak_password", 422)


@pytest.mark.parametrize("good", ["walking-slowly-1", "a quiet long walk", "Zürich–Bern 1984"])
def test_a_few_words_are_enough(good: str) -> None:
    check_strength(good, EMAIL)


async def test_a_hash_opens_with_its_own_password_only() -> None:
    stored = await hash_password("a quiet long walk")
    assert stored.startswith("$argon2id$")
    assert await is_right(stored, "a quiet long walk")
    assert not await is_right(stored, "a quiet long talk")
    assert not await is_right(None, "a quiet long walk")
