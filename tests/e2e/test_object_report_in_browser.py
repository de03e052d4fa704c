"""The report of a job whose files are in an object store, in chromium."""

from __future__ import annotations

import json

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.report import write_report
from tests.e2e.test_report_in_browser import Reader, browser, job, pytestmark, reader
from tests.harness.object_store import object_server
from tests.harness.stored_job import StoredJob, an_item

__all__ = ["browser", "job", "pytestmark", "reader"]


def test_page_shows_thumbnails_and_addresses(
    job: StoredJob, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = object_server().new_bucket()
    for name, value in object_server().environment.items():
        monkeypatch.setenv(name, value)
    address = f"s3://{bucket.name}/year"
    job.list(an_item(0), an_item(1))
    for number in range(2):
        path = job.done(an_item(number))
        if number == 0:
            bucket.put(f"year/{path.name}", path.read_bytes())
        path.unlink()
    JobFolder(job.folder).files_record.write_text(json.dumps({"address": address}))

    with reader.reading(write_report(job.folder)) as page:
        assert page.locator(".tile img").count() == 1
        assert page.locator(".tile", has_text="missing").count() == 1
        page.locator(".tile").first.click()
        stage = page.locator("#viewer .stage")
        stage.locator("img").wait_for()
        assert stage.text_content() == f"{address}/card-0.png"
        assert stage.locator("a").count() == 0
        assert page.locator("#viewer .properties a").count() == 0
