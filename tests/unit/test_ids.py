"""Identifiers and keys are random, safe in URLs, and only their own text opens them."""

import pytest

from fitstream import ids


def test_ids_are_new_each_time_and_safe_in_urls_and_object_keys() -> None:
    made = {ids.new_id("cus") for _ in range(200)}
    assert len(made) == 200
    for each in made:
        prefix, rest = each.split("_")
        assert (prefix, len(rest)) == ("cus", 20)
        assert rest.isascii()
        assert rest.isalnum()
        assert rest == rest.lower()


def test_a_keys_text_leads_to_its_id_and_hash() -> None:
    key = ids.new_key()
    parts = ids.split_key(key.text)
    assert parts is not None
    assert (parts[0], ids.hashed(parts[1])) == (key.id, key.secret_sha)
    assert ids.new_key().secret_sha != key.secret_sha


def test_a_stored_key_does_not_hold_its_secret() -> None:
    key = ids.new_key()
    secret = key.text.rpartition("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    assert secret not in repr((key.id, key.secret_sha))


@pytest.mark.parametrize(
    "text",
    [
        "", "fs", "fs_", "fs_a", "fs__b", "fs_a_", "fs_a_b_c", "fss_a_b", "FS_a_b", " fs_a_b",
        "fs_a_b ", "fs_a\0_b", "fs_a\ud880_b", "fs_a_\udcff", "fs_é_b", "fs_a_é", "fs_../x_b",
    ],
)  # fmt: skip
def test_a_text_of_another_shape_is_no_key(text: str) -> None:
    assert ids.split_key(text) is None


@pytest.mark.parametrize("text", ["", "é", "\0", "fss_\udcff", "\ud800"])
def test_any_text_has_a_hash(text: str) -> None:
    assert len(ids.hashed(text)) == 32
