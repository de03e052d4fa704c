"""The report of a run that changed nothing stays; every other one is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_runner.lifecycle import Event
from batch_runner.report import last_written
from tests.harness.stored_job import FIGURES, StoredJob, an_item

NOTHING = dict.fromkeys(FIGURES, 0) | {"samples": [[60, 0, 0, 0, 0]]}


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """A finished job: two items done, one of them in a folder, and one failed; with its report."""
    job = StoredJob(tmp_path / "out")
    (job.folder / "ink").mkdir()
    job.list(*specs())
    for spec in specs()[:2]:
        job.done(spec)
    job.failed(specs()[2])
    job.run()
    job.report()
    yield job
    job.journal.close()


def specs() -> list[Any]:
    return [an_item(0), replace(an_item(1), name="ink/card-1"), an_item(2)]


def written_again(job: StoredJob, **options: Any) -> bool:
    """Write the report if anything has changed; return whether it was."""
    page = job.folder / "index.html"
    before = page.stat().st_ino if page.exists() else None
    job.report(if_changed=True, **options)
    return page.stat().st_ino != before


def idle_run(job: StoredJob, *, ends: bool = True) -> None:
    """Add a run that sends nothing, as when all items are done."""
    number = job.journal.begin_run(pid=1, host="here")
    job.at += 60
    if ends:
        job.journal.end_run(number, NOTHING, exit_code=1, message="")


def test_run_that_changed_nothing_leaves_the_report(job: StoredJob) -> None:
    idle_run(job)
    assert not written_again(job)
    idle_run(job)
    assert not written_again(job)


def test_report_asked_for_is_always_written(job: StoredJob) -> None:
    before = (job.folder / "index.html").stat().st_ino
    job.report()
    assert (job.folder / "index.html").stat().st_ino != before


def retry(job: StoredJob) -> None:
    job.record(specs()[2], Event.RETRIED)


def change_manifest(job: StoredJob) -> None:
    job.list(*(replace(spec, source="another.yaml:9") for spec in specs()))


def unlist(job: StoredJob) -> None:
    job.list(*specs()[:2])


def change_price(job: StoredJob) -> None:
    job.journal.import_items(specs(), manifest="jobs/horse cards.yaml", price="0.50 CNY")


def kill_run(job: StoredJob) -> None:
    idle_run(job, ends=False)
    idle_run(job)


def report_of(job: StoredJob, pattern: str) -> Path:
    return next((job.folder / ".batch/report").glob(pattern))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


CHANGES: dict[str, Callable[[StoredJob], object]] = {
    "event": retry,
    "run": StoredJob.run,
    "killed run": kill_run,
    "manifest": change_manifest,
    "unlisted item": unlist,
    "price": change_price,
    "deleted file": lambda job: (job.folder / "card-0.png").unlink(),
    "deleted file in a folder": lambda job: (job.folder / "ink/card-1.png").unlink(),
    "altered file": lambda job: cut(job.folder / "card-0.png"),
    "newer file": lambda job: os.utime(job.folder / "card-0.png"),
    "deleted thumbnail": lambda job: report_of(job, "thumbnails/*.webp").unlink(),
    "deleted page": lambda job: (job.folder / "index.html").unlink(),
    "damaged page": lambda job: cut(job.folder / "index.html"),
    "deleted data": lambda job: report_of(job, "details-0-*.js").unlink(),
    "damaged data": lambda job: cut(report_of(job, "items-0-*.js")),
    "damaged record": lambda job: cut(report_of(job, last_written.NAME)),
    "foreign record": lambda job: report_of(job, last_written.NAME).write_text("[]"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_report_is_written(job: StoredJob, change: Callable[[StoredJob], object]) -> None:
    change(job)
    idle_run(job)
    assert written_again(job)
    idle_run(job)
    assert not written_again(job)


@pytest.mark.parametrize(("fingerprint", "changed"), [("a", False), ("b", True), (None, True)])
def test_manifest_is_compared_by_its_fingerprint(
    job: StoredJob, fingerprint: str | None, *, changed: bool
) -> None:
    def import_items(known: str | None) -> None:
        at = "jobs/horse cards.yaml"
        job.journal.import_items(specs(), manifest=at, price="0.12 CNY", fingerprint=lambda: known)

    import_items("a")
    job.report()

    import_items(fingerprint)

    assert written_again(job) is changed


def test_another_language_is_written(job: StoredJob) -> None:
    assert written_again(job, language="zh-CN")
    assert not written_again(job, language="zh-CN")


def test_another_version_writes_the_report(job: StoredJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_written, "__version__", "99")
    assert written_again(job)


def test_moved_job_gets_a_report_with_its_commands(job: StoredJob) -> None:
    job.journal.close()
    job.folder.rename(job.folder.with_name("moved"))
    job.folder = job.folder.with_name("moved")
    assert written_again(job)


def test_report_lacking_thumbnails_is_written(job: StoredJob) -> None:
    report_of(job, "thumbnails/*.webp").unlink()
    assert written_again(job, seconds=0)
    assert written_again(job, seconds=0)
    assert written_again(job)
    assert not written_again(job)


def test_report_during_a_run_is_written(job: StoredJob) -> None:
    idle_run(job, ends=False)
    assert written_again(job)
    assert written_again(job)


def test_foreign_files_leave_the_page_in_place(job: StoredJob) -> None:
    (job.folder / "notes.txt").write_text("mine")
    (job.folder / ".DS_Store").write_bytes(b"x")
    job.report(if_changed=True)
    (job.folder / ".DS_Store").write_bytes(b"xyz")
    assert not written_again(job)


def test_page_moves_when_a_foreign_one_comes_and_goes(job: StoredJob) -> None:
    page = job.folder / "index.html"
    page.write_text("mine")
    assert job.report(if_changed=True) == job.folder / "batch-report.html"
    page.unlink()
    assert job.report(if_changed=True) == page


def test_killed_run_counts_until_the_next_one(job: StoredJob) -> None:
    kill_run(job)
    job.report()
    idle_run(job)
    job.at += 1_000_000
    assert not written_again(job)
