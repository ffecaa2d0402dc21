"""Types of bodies take what they name and nothing beside it; a key belongs to one caller."""

from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from fitstream.gateway.api.customers import Email
from fitstream.gateway.api.people import LogIn
from fitstream.gateway.api.programmes import Slug
from fitstream.gateway.idempotency import HEADER, keyed_call
from fitstream.gateway.principal import Principal
from fitstream.gateway.uploading import ReadAs
from fitstream.uploads.spec import Name


@pytest.mark.parametrize(
    ("kind", "right"), [(Email, "ada@example.org"), (Slug, "walkers"), (Name, "my watch")]
)
@pytest.mark.parametrize("behind", ["\n", "\r", "\x00", "\n\n", "\nBcc: x@y.z"])
def test_nothing_follows_what_a_pattern_names(kind: Any, right: str, behind: str) -> None:
    assert msgspec.convert(right, kind) == right
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(right + behind, kind)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (LogIn, {"email": "a@b.org", "password": "x", "role": "admin"}),
        (ReadAs, {"mapping": "x", "customer": "y"}),
        (ReadAs, {"save_as": "../x"}),
        (ReadAs, {"save_as": ""}),
        (ReadAs, {"save_as": "x" * 65}),
    ],
)
def test_a_body_with_what_is_not_asked_for_is_refused(kind: Any, body: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, kind)


def test_a_key_of_one_client_is_not_anothers_nor_the_customers_own() -> None:
    request = make_mocked_request("POST", "/v1/x", headers={HEADER: "one"})
    owner = Principal("customer", account_id="acc_1", customer_id="cus_1")
    callers = [
        owner,
        owner._replace(client_id="cli_1"),
        owner._replace(client_id="cli_2"),
        owner._replace(account_id="acc_2"),
        Principal("program", client_id="cli_1"),
        Principal("program", key_id="1"),
        Principal("program", key_id="2"),
    ]
    keys = {keyed_call(request, caller, b"").key_sha for caller in callers}
    assert len(keys) == len(callers)
    renewed = Principal("device", key_id="1", device_id="dev_1")
    assert (
        keyed_call(request, renewed, b"").key_sha
        == keyed_call(request, renewed._replace(key_id="2"), b"").key_sha
    )
