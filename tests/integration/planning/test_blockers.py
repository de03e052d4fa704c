from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from batch_runner.cli.plan_text import blocker_text
from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.paths import JobFolder
from batch_runner.planning.blockers import folder_blockers
from batch_runner.util.locale import use_language
from tests.integration.planning.conftest import Job, blockers_in, kinds


def test_deadline_before_the_estimated_end_is_a_blocker(job: Job, plan: Any) -> None:
    job.write("limits: {rate: 1/h}\n", a="horse a", b="horse b")

    assert kinds(plan("--json", "--run-for", "1h")) == ["deadline"]
    assert kinds(plan("--json", "--run-for", "3h")) == []


def test_running_process_is_a_blocker_and_named(job: Job, plan: Any) -> None:
    job.write(a="horse a")
    job.set_statuses()
    folder = JobFolder(job.root)

    with Lock(folder):
        (blocker,) = blockers_in(plan("--json"))

    assert blocker["kind"] == "locked"
    assert f"process {os.getpid()} on " in blocker["message"]
    assert kinds(plan("--json")) == []
    folder.lock.write_text("no JSON")
    assert kinds(plan("--json")) == []


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [("BAICAI_API_KEY", None, "no key"), ("BAICAI_BASE_URL", "ftp://x", "must begin with http")],
)
def test_missing_key_or_wrong_url_blocks_all_but_a_rehearsal(
    job: Job,
    plan: Any,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str | None,
    word: str,
) -> None:
    job.write(a="horse a")
    monkeypatch.delenv(variable, raising=False)
    if value:
        monkeypatch.setenv(variable, value)

    (blocker,) = blockers_in(plan("--json"))

    assert blocker["kind"] == "service"
    assert word in blocker["message"]
    assert blockers_in(plan("--json", "--rehearse")) == []


def test_folder_of_another_service_is_a_blocker(
    job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write(a="horse a")
    job.set_statuses()
    monkeypatch.setenv("BAICAI_BASE_URL", "https://elsewhere.example")

    (blocker,) = blockers_in(plan("--json"))

    assert blocker["kind"] == "folder"
    assert "choose another folder" in blocker["message"]


def test_unwritable_folder_or_missing_journal_is_a_blocker(
    job: Job, plan: Any, tmp_path: Path
) -> None:
    job.write(a="horse a")
    (tmp_path / "file").write_text("")
    assert kinds(plan("--json", "--output", str(tmp_path / "file"))) == ["not_writable"]
    assert kinds(plan("--json", "--output", str(tmp_path / "file" / "below"))) == ["not_writable"]
    job.set_statuses(a="done")
    JobFolder(job.root).journal.unlink()

    assert kinds(plan("--json")) == ["journal_missing"]


def test_nearly_full_disk_is_a_blocker(tmp_path: Path) -> None:
    (blocker,) = folder_blockers(JobFolder(tmp_path / "new"), 10**18)

    assert "below 1000000000000 MB nothing is submitted" in blocker_text(blocker)
    with use_language("zh"):
        assert "低于 1000000000000 MB" in blocker_text(blocker)
