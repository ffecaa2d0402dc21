"""Contract suites are asserted like tests, although they are imported."""

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.broker_contract", "tests.contracts.store_contract"
)  # fmt: skip
