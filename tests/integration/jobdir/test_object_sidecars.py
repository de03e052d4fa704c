"""Sidecars in an object store, where several hosts may write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.sidecars import Sidecars
from tests.harness.object_store import Bucket, object_server
from tests.harness.stored_job import StoredJob, an_item

ITEM = an_item(0)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in object_server().environment.items():
        monkeypatch.setenv(name, value)
    return object_server().new_bucket()


@pytest.fixture
def job(tmp_path: Path, bucket: Bucket) -> Iterator[StoredJob]:
    job = StoredJob(tmp_path / "out")
    record = {"address": f"s3://{bucket.name}"}
    JobFolder(job.folder).files_record.write_text(json.dumps(record))
    job.list(ITEM, an_item(1))
    yield job
    job.journal.close()


def done(job: StoredJob, bucket: Bucket, number: int) -> None:
    path = job.done(an_item(number))
    bucket.put(path.name, path.read_bytes())


def test_missing_sidecars_are_written_once(job: StoredJob, bucket: Bucket) -> None:
    sidecars = Sidecars(JobFolder(job.folder))
    done(job, bucket, 0)
    assert sidecars.sync() == 1
    done(job, bucket, 1)
    assert sidecars.sync() == 1

    assert Sidecars(JobFolder(job.folder)).sync() == 0
    assert json.loads(bucket.objects()["card-1.json"])["key"] == an_item(1).key


def test_sidecar_of_another_host_is_taken(
    job: StoredJob, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    ours, others = (Sidecars(JobFolder(job.folder)) for _ in range(2))
    ours.sync()
    done(job, bucket, 0)
    ours.sync()
    others.sync()
    done(job, bucket, 1)
    others.sync()

    ours.sync()

    assert {"card-0.json", "card-1.json"} <= set(bucket.names())
    assert caplog.records == []


def test_other_object_of_that_name_is_kept(
    job: StoredJob, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    sidecars = Sidecars(JobFolder(job.folder))
    done(job, bucket, 0)
    sidecars.sync()
    bucket.put("card-1.json", b"another")
    done(job, bucket, 1)

    sidecars.sync()

    assert bucket.objects()["card-1.json"] == b"another"
    text = "card-1.png gets no sidecar: card-1.json is another file, and is kept"
    assert [record.message for record in caplog.records] == [text]


def test_sidecar_of_an_earlier_file_is_replaced(job: StoredJob, bucket: Bucket) -> None:
    done(job, bucket, 0)
    earlier = json.dumps({"key": ITEM.key, "sha256": "0" * 64})
    bucket.put("card-0.json", earlier.encode())

    assert Sidecars(JobFolder(job.folder)).sync() == 1
    assert json.loads(bucket.objects()["card-0.json"])["id"] == ITEM.id
