"""The S3 of the local stack keeps the contract."""

from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest

from fitstream.settings import Settings
from fitstream.store import Store, open_store
from tests.contracts.store_contract import StoreContract

pytestmark = pytest.mark.stack


class TestS3ProxyStore(StoreContract):
    puts_are_atomic = False  # over files it looks first and writes then (docs/reliability.md)

    @pytest.fixture
    def settings(self, services: Settings) -> Settings:
        return msgspec.structs.replace(services, s3_bucket=f"bucket-{uuid4().hex[:12]}")

    @pytest.fixture
    async def store(self, settings: Settings) -> AsyncIterator[Store]:
        async with open_store(settings) as opened:
            await opened.make_bucket()
            yield opened
