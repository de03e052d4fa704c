"""Sidecars: what they hold, when they are written, and what is never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.removed import move_out
from batch_runner.jobdir.sidecars import Sidecars, sidecar_of
from tests.harness.stored_job import StoredJob, an_item

ITEM = an_item(0, "a horse", style="ink")


@pytest.fixture
def job(tmp_path: Path) -> StoredJob:
    made = StoredJob(tmp_path / "out")
    JobFolder(made.folder).prepare()
    made.list(ITEM, an_item(1))
    return made


def sidecar(job: StoredJob, position: int = 0) -> Path:
    return job.folder / f"card-{position}.json"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("card.png", "card.json"),
        ("ink.v2/card.a.png", "ink.v2/card.a.json"),
        ("ink.v2/card", "ink.v2/card.json"),
    ],
)
def test_sidecar_has_the_name_of_its_file(name: str, expected: str) -> None:
    assert sidecar_of(name) == expected


def test_sidecar_says_how_its_file_was_made(job: StoredJob) -> None:
    path = job.done(ITEM)

    assert Sidecars(JobFolder(job.folder)).sync() == 1

    assert json.loads(sidecar(job).read_text()) == {
        "file": "card-0.png",
        "id": "item-0",
        "key": ITEM.key,
        "job": "horse-cards",
        "provider": "baicai",
        "workflow": "greeting_card",
        "prompt": "a horse",
        "params": {"6": {"text": "a horse"}},
        "variables": {"style": "ink"},
        "inputs": [],
        "task_id": "task-0",
        "attempt": 1,
        "submitted_at": "2026-05-28T20:26:54Z",
        "completed_at": "2026-05-28T20:27:01Z",
        "done_at": "2026-05-28T20:27:08Z",
        "media_type": "image/png",
        "size": path.stat().st_size,
        "sha256": ITEM.key * 2,
    }


def test_missing_sidecars_are_written_and_others_left(job: StoredJob) -> None:
    job.done(ITEM)
    job.done(an_item(1))
    sidecars = Sidecars(JobFolder(job.folder))
    sidecars.sync()
    edited = sidecar(job).read_text().replace('"a horse"', '"a mare"')
    sidecar(job).write_text(edited)
    sidecar(job, 1).unlink()

    assert sidecars.sync() == 0  # nothing has happened since
    assert Sidecars(JobFolder(job.folder)).sync() == 1

    assert sidecar(job).read_text() == edited
    assert sidecar(job, 1).exists()


def test_sidecar_of_an_earlier_file_is_replaced(job: StoredJob) -> None:
    job.done(ITEM)
    Sidecars(JobFolder(job.folder)).sync()
    earlier = sidecar(job).read_text().replace(ITEM.key * 2, "f" * 64)
    sidecar(job).write_text(earlier)

    assert Sidecars(JobFolder(job.folder)).sync() == 1
    assert json.loads(sidecar(job).read_text())["sha256"] == ITEM.key * 2


@pytest.mark.parametrize("content", ["mine", "{}", '{"key": "other", "sha256": "x"}', "[1]"])
def test_another_file_is_kept_and_named(
    job: StoredJob, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    job.done(ITEM)
    sidecar(job).write_text(content)
    sidecars = Sidecars(JobFolder(job.folder))

    assert sidecars.sync() == 0
    job.done(an_item(1))
    assert sidecars.sync() == 1

    assert sidecar(job).read_text() == content
    text = "card-0.png gets no sidecar: card-0.json is another file, and is kept"
    assert [record.message for record in caplog.records] == [text]


def test_link_in_place_of_a_sidecar_is_not_followed(job: StoredJob, tmp_path: Path) -> None:
    job.done(ITEM)
    sidecar(job).symlink_to(tmp_path / "elsewhere")

    assert Sidecars(JobFolder(job.folder)).sync() == 0
    assert not (tmp_path / "elsewhere").exists()


def test_missing_file_gets_no_sidecar(job: StoredJob) -> None:
    job.done(ITEM).unlink()

    assert Sidecars(JobFolder(job.folder)).sync() == 0
    assert not sidecar(job).exists()


def test_sidecar_that_cannot_be_written_raises_nothing(
    job: StoredJob, caplog: pytest.LogCaptureFixture
) -> None:
    job.done(ITEM)
    (job.folder / ".batch" / "parts").rmdir()
    sidecars = Sidecars(JobFolder(job.folder))

    assert sidecars.sync() == 0
    assert "sidecars could not be written: " in caplog.text
    (job.folder / ".batch" / "parts").mkdir()
    assert sidecars.sync() == 1


def test_sidecar_moves_away_with_its_file(job: StoredJob) -> None:
    job.done(ITEM)
    folder = JobFolder(job.folder)
    Sidecars(folder).sync()

    move_out(folder, "card-0.png", ITEM.key, to="removed")

    names = sorted(path.name for path in (folder.batch / "removed").iterdir())
    assert names == [f"card-0.json.{ITEM.key[:8]}", f"card-0.png.{ITEM.key[:8]}"]
    assert not sidecar(job).exists()


def test_file_of_a_sidecars_name_stays_where_it_is(job: StoredJob) -> None:
    job.done(ITEM)
    sidecar(job).write_text("mine")

    move_out(JobFolder(job.folder), "card-0.png", ITEM.key, to="removed")

    assert sidecar(job).read_text() == "mine"
