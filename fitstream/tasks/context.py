"""What a job in its child process may use: database, objects, settings, and a way to tell."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from fitstream.repo.database import Repo
from fitstream.repo.jobs import ClaimedJob
from fitstream.settings import Settings
from fitstream.store import Store


@dataclass(frozen=True)
class JobContext:
    """One job under one lease; its work ends with `jobs.finish_job` in its own transaction."""

    job: ClaimedJob
    repo: Repo
    store: Store
    settings: Settings

    @property
    def programme_no(self) -> int:
        """The programme that the job is for; a job without one has no business here."""
        if self.job.programme_no is None:
            raise ValueError(f"job {self.job.id} names no programme")
        return self.job.programme_no

    @property
    def customer_no(self) -> int:
        """The customer that the job is for."""
        if self.job.customer_no is None:
            raise ValueError(f"job {self.job.id} names no customer")
        return self.job.customer_no

    def now(self) -> datetime:
        """The current instant, moved by the test setting for clock jumps."""
        return datetime.now(UTC) + timedelta(seconds=self.settings.clock_offset_s)

    def began(self) -> datetime:
        """When the first attempt at the job began, by the same clock."""
        if self.job.started_at is None:
            return self.now()
        return self.job.started_at + timedelta(seconds=self.settings.clock_offset_s)

    def tell(self, **progress: Any) -> None:
        """Progress as a line that the worker passes on to the job row."""
        sys.stdout.write(msgspec.json.encode(progress).decode() + "\n")
        sys.stdout.flush()
