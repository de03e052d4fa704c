from __future__ import annotations

import sys
from pathlib import Path

import pytest

from batch_runner.journal import RunRow
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest.job_args import job_arguments
from batch_runner.report.item_history import rates_per_minute
from batch_runner.report.problems import (
    Owner,
    ProblemGroup,
    command_for,
    next_commands,
    owner_of,
)


@pytest.mark.parametrize(
    ("status", "reason", "owner"),
    [
        (ItemStatus.REJECTED, "moderation", Owner.YOU),
        (ItemStatus.REJECTED, "upload", Owner.YOU),
        (ItemStatus.REJECTED, "http-400", Owner.YOU),
        (ItemStatus.REJECTED, None, Owner.YOU),
        (ItemStatus.FAILED, "service-failed", Owner.SERVICE),
        (ItemStatus.DROPPED, "dropped", Owner.YOU),
        (ItemStatus.FAILED, None, Owner.SERVICE),
        (ItemStatus.DOWNLOAD_PENDING, "http-502", Owner.SERVICE),
        (ItemStatus.DOWNLOAD_PENDING, "task-unknown", Owner.SERVICE),
        (ItemStatus.DOWNLOAD_PENDING, "bad-file", Owner.SERVICE),
        (ItemStatus.REJECTED, "code-5001", Owner.YOU),
        (ItemStatus.REJECTED, "rejected", Owner.YOU),
        (ItemStatus.DOWNLOAD_PENDING, "no-response", Owner.NETWORK),
        (ItemStatus.DOWNLOAD_PENDING, "ambiguous", Owner.SERVICE),
        (ItemStatus.DOWNLOAD_PENDING, "not-found", Owner.SERVICE),
        (ItemStatus.DOWNLOAD_PENDING, "disk", Owner.YOU),
        (ItemStatus.DOWNLOAD_PENDING, "kind-not-accepted", Owner.YOU),
        (ItemStatus.DOWNLOAD_PENDING, "too-large", Owner.YOU),
        (ItemStatus.DOWNLOAD_PENDING, "private-address", Owner.YOU),
        (ItemStatus.DOWNLOAD_PENDING, "unknown-length", Owner.SERVICE),
        (ItemStatus.DOWNLOAD_PENDING, "file-missing", Owner.WAIT),
        (ItemStatus.DOWNLOAD_PENDING, "http-429", Owner.WAIT),
        (ItemStatus.HELD, "http-502", Owner.YOU),
    ],
)
def test_status_and_reason_decide_the_owner(
    status: ItemStatus, reason: str | None, owner: Owner
) -> None:
    assert owner_of(status, reason) is owner


@pytest.mark.parametrize(
    ("status", "reason", "command"),
    [
        (ItemStatus.HELD, "no-response", "batch-runner resolve 'a b.yaml'"),
        (ItemStatus.FAILED, "x; rm -rf /", "batch-runner retry 'a b.yaml' --reason 'x; rm -rf /'"),
        (ItemStatus.REJECTED, None, "batch-runner retry 'a b.yaml' --all"),
        (ItemStatus.DOWNLOAD_PENDING, "no-response", "batch-runner run 'a b.yaml'"),
        (ItemStatus.DOWNLOAD_PENDING, "task-unknown", "batch-runner resolve 'a b.yaml'"),
        (ItemStatus.DROPPED, "dropped", "batch-runner retry 'a b.yaml' card-7"),
    ],
)
def test_command_is_quoted_for_a_shell(
    status: ItemStatus, reason: str | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # as in the user's shell

    assert command_for(status, reason, ["a b.yaml"], ["card-7"]) == command


def test_finished_job_has_no_next_commands() -> None:
    assert next_commands([ItemStatus.DONE], [], ["a.yaml"]) == []


@pytest.mark.parametrize(
    ("statuses", "offered"),
    [([ItemStatus.DROPPED], False), ([ItemStatus.DROPPED, ItemStatus.FAILED], True)],
)
def test_retry_all_is_not_offered_for_dropped_items(
    statuses: list[ItemStatus], offered: bool
) -> None:
    groups = [ProblemGroup(status=one, reason="x", owner=Owner.YOU) for one in statuses]

    commands = next_commands(statuses, groups, ["a.yaml"])

    assert ("retry" in [name for name, _ in commands]) is offered


def test_samples_become_rates_per_minute() -> None:
    samples: list[list[float]] = [[60, 5, 40, 1, 5], [60, 5, 40, 1, 5], [90, 8, 50, 1, 2]]
    run = RunRow(
        run=1, started_at=0, ended_at=90, pid=1, host="h", exit_code=0, message="", samples=samples
    )

    assert rates_per_minute(run) == [[60, 5, 40, 1], [90, 6, 20, 0]]


def test_rehearsal_target_names_the_folder_of_its_job(tmp_path: Path) -> None:
    manifest, folder = tmp_path / "cards.yaml", tmp_path / "there"

    unreadable = job_arguments(str(manifest), folder / "job.rehearsal", rehearsal=True)
    manifest.write_text('workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [a]\n')
    own = job_arguments(str(manifest), tmp_path / "out/cards.rehearsal", rehearsal=True)

    assert unreadable == [str(manifest), "--rehearse", "--output", str(folder / "job")]
    assert own == [str(manifest), "--rehearse"]
