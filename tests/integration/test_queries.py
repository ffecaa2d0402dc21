"""Every SQL block is prepared on the migrated database; its columns are its struct's fields."""

import importlib
from pathlib import Path

import msgspec
import pytest

from fitstream.repo.database import Repo
from fitstream.repo.queries import FOLDER, blocks
from fitstream.repo.queries import sql as text_of

NAMES = [(path.stem, name) for path in sorted(FOLDER.glob("*.sql")) for name in blocks(path.stem)]
pytestmark = pytest.mark.stack


def _struct(module: str, name: str) -> type[msgspec.Struct]:
    return getattr(importlib.import_module(f"fitstream.repo.{module}"), name)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=str)
async def test_block_prepares_and_fits_its_struct(repo: Repo, module: str, name: str) -> None:
    async with repo.connection() as db:
        await db.execute(text_of("ledger.create_stage"))
        prepared = await db.prepare(text_of(f"{module}.{name}"))
        columns = [attribute.name for attribute in prepared.get_attributes()]
        await db.execute("SELECT 1")  # what is prepared and not run leaves its deadline running
    row = blocks(module)[name].row
    if row is not None:
        assert columns == list(_struct(module, row).__struct_fields__)


def test_every_block_has_a_purpose_line() -> None:
    for path in Path(FOLDER).glob("*.sql"):
        for name, block in blocks(path.stem).items():
            assert block.text.startswith("-- "), f"{path.stem}.{name} lacks its line of purpose"


def test_every_block_has_its_one_caller() -> None:
    source = "".join(path.read_text() for path in FOLDER.parent.glob("*.py"))
    for path in Path(FOLDER).glob("*.sql"):
        for name in blocks(path.stem):
            assert f"{path.stem}.{name}" in source, f"{path.stem}.{name} is never called"
