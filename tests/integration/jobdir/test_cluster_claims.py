"""The claims of a cluster job, whose workers go on when the run that follows them has ended."""

from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from batch_runner.jobdir.claims import JobClaims
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.cluster_dsn import VARIABLE
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.registry import open_registry
from tests.harness import an_item, some_items
from tests.harness.postgres import create_journal, new_schema, postgres

KEY = an_item(0).key


def test_claims_are_released_only_when_no_worker_may_submit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, schema = postgres(), new_schema()
    monkeypatch.setenv(VARIABLE, server.dsn)
    folder = JobFolder(tmp_path / "out")
    folder.prepare()
    folder.cluster.write_text(json.dumps({"schema": schema}))
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(1))
        job_id = str(journal.job()["id"])

    def open_claims() -> JobClaims:
        own = JobClaims(folder, registry, tmp_path)
        own.lock(job_id)
        own.start(account_key=None)
        return own

    def claimed() -> list[str]:
        return [one.key for one in registry.claims_of_others("baicai", "x", None, [KEY])]

    with (
        open_registry(tmp_path) as registry,
        closing(PostgresConnection(server.dsn, schema)) as database,
    ):
        own = open_claims()
        own.claim([KEY])
        shards.want_shards(database, shards.RunOrder(run=1, settings="{}"), None)
        own.close()
        open_claims().close()
        assert claimed() == [KEY]

        lease = shards.take_shard(database, "worker", 1, 60.0)
        assert lease is not None
        shards.finish_shard(database, lease, Decimal(0), None)
        open_claims().close()
        assert claimed() == []
