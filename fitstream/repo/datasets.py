"""Which datasets of training runs, and which objects of models, need not be kept any longer."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.repo.database import Db, fetch


class Dataset(msgspec.Struct, frozen=True):
    """What a run reads, by its programme and hash."""

    programme_no: int
    dataset_hash: str


class Written(msgspec.Struct, frozen=True):
    """A dataset as it lies in S3, and when the newest of its objects was written."""

    programme_no: int
    dataset_hash: str
    written_at: datetime


class ModelId(msgspec.Struct, frozen=True):
    """A model by its id alone."""

    id: str


async def unregistered_models(db: Db, ids: Sequence[str]) -> list[str]:
    """Those of some ids that are no model's."""
    found = await fetch(db, ModelId, "datasets.unregistered_models", list(ids))
    return [each.id for each in found]


async def spent_datasets(
    db: Db, found: Sequence[Written], unused_since: datetime, unclaimed_since: datetime
) -> list[Dataset]:
    """Those of the datasets that hold somebody who has withdrawn, that no run has used since an
    instant, or that were written before another one and that no run ever claimed. None of a run
    that is queued, running or waiting."""
    programmes, hashes = [f.programme_no for f in found], [f.dataset_hash for f in found]
    args = (programmes, hashes, [f.written_at for f in found], unused_since, unclaimed_since)
    return await fetch(db, Dataset, "datasets.spent_datasets", *args)
