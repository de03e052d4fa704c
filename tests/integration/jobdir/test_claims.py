from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch_runner.jobdir.open import OpenJob, open_job
from tests.harness import IDENTITY, some_items


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OpenJob]:
    with open_job(tmp_path / "out", IDENTITY, state=tmp_path / "state") as job:
        yield job


def test_claims_and_copies_of_two_threads_keep_the_registry(job: OpenJob) -> None:
    items = some_items(300)
    job.journal.import_items(items)
    keys = [item.key for item in items]

    with ThreadPoolExecutor(1) as thread:
        claims = [thread.submit(job.claims.claim, [key]) for key in keys]
        while not claims[-1].done():
            job.claims.sync()

    assert not job.claims.unusable
