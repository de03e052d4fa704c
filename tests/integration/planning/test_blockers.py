from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change
from batch_runner.lifecycle import Event
from batch_runner.manifest import load
from batch_runner.planning.blockers import folder_blockers
from batch_runner.providers import PROVIDERS
from batch_runner.registry import FILE, JobLock, open_registry
from batch_runner.util.locale import use_language
from tests.integration.planning.conftest import Job, blockers_in, kinds


def test_deadline_before_the_estimated_end_is_a_warning(job: Job, plan: Any) -> None:
    job.write("limits: {rate: 1/h}\n", a="horse a", b="horse b")

    soon, late = plan("--json", "--run-for", "1h"), plan("--json", "--run-for", "3h")

    assert (kinds(soon), kinds(soon, "warnings")) == ([], ["deadline"])
    assert kinds(late, "warnings") == []


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

    assert "below 1000000000000 MB nothing is submitted" in blocker.message
    with use_language("zh"):
        assert "低于 1000000000000 MB" in blocker.message


def test_copied_journal_is_a_blocker(job: Job, plan: Any) -> None:
    job.write(a="horse a")
    job.set_statuses(a="done")
    copy = job.root.with_name("copy")
    shutil.copytree(job.root, copy)

    (blocker,) = blockers_in(plan("--json", "--output", str(copy)))

    assert blocker["kind"] == "journal"
    assert f"is a copy of the journal in {job.root}" in blocker["message"]
    assert kinds(plan("--json")) == []


def test_older_journal_is_a_blocker(job: Job, plan: Any, tmp_path: Path) -> None:
    job.write(a="horse a", b="horse b")
    job.set_statuses()
    journal = JobFolder(job.root).journal
    shutil.copy(journal, tmp_path / "backup")
    job.set_statuses(a="done")
    journal.write_bytes((tmp_path / "backup").read_bytes())  # the same inode

    (blocker,) = blockers_in(plan("--json"))

    assert blocker["kind"] == "journal"
    assert "is an older copy" in blocker["message"]


def test_older_folder_is_a_blocker(job: Job, plan: Any, tmp_path: Path) -> None:
    state = tmp_path / "state" / "batch-runner"
    job.write(a="horse a")
    with job.opened(state):
        pass
    shutil.copytree(job.root, tmp_path / "backup")
    with job.opened(state) as opened:
        (key,) = (spec.key for spec in load(job.manifest).items())
        opened.journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
    shutil.rmtree(job.root)
    shutil.copytree(tmp_path / "backup", job.root)

    (blocker,) = blockers_in(plan("--json"))

    assert blocker["kind"] == "journal"
    assert "on this host" in blocker["message"]


def test_run_of_a_copy_is_a_blocker(job: Job, plan: Any, tmp_path: Path) -> None:
    state = tmp_path / "state" / "batch-runner"
    job.write(a="horse a")
    with job.opened(state) as opened:
        job_id = opened.journal.job()["id"]
    lock = JobLock(state, job_id)
    assert lock.acquire()

    assert kinds(plan("--json")) == ["locked"]

    lock.close()
    assert kinds(plan("--json")) == []


def test_damaged_marker_is_a_blocker(job: Job, plan: Any) -> None:
    job.write(a="horse a")
    job.set_statuses()
    JobFolder(job.root).marker.write_text("no JSON")

    assert kinds(plan("--json")) == ["journal"]


def test_link_in_place_of_a_folder_is_a_blocker(job: Job, plan: Any, tmp_path: Path) -> None:
    job.write(a="horse a")
    job.root.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    JobFolder(job.root).batch.symlink_to(tmp_path / "elsewhere")

    assert kinds(plan("--json")) == ["not_writable"]


def test_unmounted_disk_of_the_job_is_a_blocker(job: Job, plan: Any, tmp_path: Path) -> None:
    state = tmp_path / "state" / "batch-runner"
    job.write(a="horse a")
    with job.opened(state):
        pass
    with open_registry(state) as registry:
        (record,) = registry.jobs()
        registry.record_job(dataclasses.replace(record, mount=str(job.root.parent)))
    shutil.rmtree(job.root)

    (blocker,) = blockers_in(plan("--json"))

    assert blocker["kind"] == "folder"
    assert "is not mounted" in blocker["message"]


def test_damaged_registry_blocks_a_job_that_has_paid_nothing(
    job: Job, plan: Any, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "batch-runner"
    job.write(a="horse a", b="horse b")
    with job.opened(state):
        pass
    (state / FILE).write_bytes(b"damaged" * 1000)

    for new in (plan("--json"), plan("--json", "--output", str(tmp_path / "new"))):
        assert (kinds(new), kinds(new, "warnings")) == (["registry"], [])
    job.set_statuses(a="done")
    old = plan("--json")

    assert (kinds(old), kinds(old, "warnings")) == ([], ["registry"])


def test_state_folder_that_cannot_be_read_is_a_blocker(
    job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job.write(a="horse a")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("x" * 300)))

    found = plan("--json")

    assert (kinds(found), kinds(found, "warnings")) == (["registry"], [])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_state_folder_on_a_read_only_disk_is_a_blocker(
    job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job.write(a="horse a")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(disk)], check=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(disk / "state"))
    try:
        found, accepted = plan("--json"), plan("--json", "--reuse", "never")
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert (kinds(found), kinds(found, "warnings")) == (["registry"], [])
    assert (kinds(accepted), kinds(accepted, "warnings")) == ([], ["registry"])


def test_missing_home_is_a_warning(job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write(a="horse a")
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    found = plan("--json")

    assert (kinds(found), kinds(found, "warnings")) == ([], ["no_home"])
    assert kinds(plan("--json", "--rehearse"), "warnings") == []


def test_other_port_of_the_service_is_a_warning(
    job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write(a="horse a")
    job.set_statuses()
    origin = PROVIDERS["baicai"].base_url
    monkeypatch.setenv("BAICAI_BASE_URL", f"{origin}:443/")
    assert kinds(plan("--json"), "warnings") == []
    monkeypatch.setenv("BAICAI_BASE_URL", f"{origin}:8443")

    found = plan("--json")

    assert kinds(found) == []
    (warning,) = found["warnings"]
    assert (warning["kind"], warning["message"].count(origin)) == ("origin", 2)


def test_too_few_open_files_are_a_blocker(job: Job) -> None:
    job.write(a="horse a")
    limited = subprocess.run(
        [
            *("sh", "-c", 'ulimit -n 20; exec "$@"', "-", sys.executable, "-m", "batch_runner"),
            *("plan", str(job.manifest), "--json"),
        ],
        capture_output=True,
        check=True,
        text=True,
    )

    assert kinds(json.loads(limited.stdout)) == ["open_files"]


def test_detailed_exitcode_tells_what_a_run_would_do(
    job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write(a="horse a")
    flag = "--detailed-exitcode"
    plan(flag, status=6)
    plan(flag, "--max-submissions", "1", "--run-for", "1s", status=6)
    job.set_statuses(a="done")
    plan(flag, status=0)

    with Lock(JobFolder(job.root)):
        plan(flag, status=2)
        plan(status=0)
    monkeypatch.delenv("BAICAI_API_KEY")
    plan(flag, status=2)
    plan(flag, "--rehearse", status=6)
