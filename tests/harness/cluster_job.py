"""The folder of a cluster job, filled by events: its journal is in PostgreSQL."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field

from batch_runner.jobdir.marker import Marker
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.postgres.journal import PostgresJournal
from tests.harness.stored_job import StoredJob


@dataclass
class ClusterJob(StoredJob):
    """A job folder with `cluster.json`, whose journal takes events."""

    dsn: str = field(kw_only=True)
    schema: str = field(init=False, default_factory=lambda: f"job_{uuid.uuid4().hex}")

    def _create(self) -> PostgresJournal:
        journal = PostgresJournal.create(
            self.dsn,
            self.schema,
            job="horse-cards",
            provider="baicai",
            origin=self.origin,
            folder=str(self.folder),
            wall_clock=lambda: self.at,
        )
        folder = JobFolder(self.folder)
        folder.prepare()
        folder.cluster.write_text(json.dumps({"schema": self.schema}))
        Marker(folder).write(journal.job()["id"], "horse-cards")
        return journal
