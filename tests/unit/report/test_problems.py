from __future__ import annotations

import sys
from pathlib import Path

import pytest

from batch_runner.journal import RunRow
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest.job_args import target_of
from batch_runner.report.history import by_minute
from batch_runner.report.triage import Group, Owner, command_for, fixer_of, next_commands


@pytest.mark.parametrize(
    ("status", "reason", "fixer"),
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
        (ItemStatus.DOWNLOAD_PENDING, "file-missing", Owner.WAIT),
        (ItemStatus.DOWNLOAD_PENDING, "http-429", Owner.WAIT),
        (ItemStatus.HELD, "http-502", Owner.YOU),
    ],
)
def test_each_trouble_names_who_can_fix_it(
    status: ItemStatus, reason: str | None, fixer: Owner
) -> None:
    assert fixer_of(status, reason) is fixer


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
def test_a_command_can_be_pasted_as_it_stands(
    status: ItemStatus, reason: str | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # as in the shell of a reader

    assert command_for(status, reason, ["a b.yaml"], ["card-7"]) == command


def test_a_finished_job_asks_for_nothing() -> None:
    assert next_commands([ItemStatus.DONE], [], ["a.yaml"]) == []


@pytest.mark.parametrize(
    ("statuses", "offered"),
    [([ItemStatus.DROPPED], False), ([ItemStatus.DROPPED, ItemStatus.FAILED], True)],
)
def test_retry_all_is_not_offered_for_dropped_items(
    statuses: list[ItemStatus], offered: bool
) -> None:
    groups = [Group(status=one, reason="x", fixer=Owner.YOU) for one in statuses]

    commands = next_commands(statuses, groups, ["a.yaml"])

    assert ("retry" in [name for name, _ in commands]) is offered


def test_weather_that_counts_up_is_told_by_the_minute() -> None:
    samples: list[list[float]] = [[60, 5, 40, 1, 5], [60, 5, 40, 1, 5], [90, 8, 50, 1, 2]]
    run = RunRow(
        run=1, started_at=0, ended_at=90, pid=1, host="h", exit_code=0, message="", samples=samples
    )

    assert by_minute(run) == [[60, 5, 40, 1], [90, 6, 20, 0]]


def test_a_rehearsal_is_named_by_the_folder_of_the_job_it_rehearses(tmp_path: Path) -> None:
    manifest, folder = tmp_path / "cards.yaml", tmp_path / "there"

    unreadable = target_of(str(manifest), folder / "job.rehearsal", rehearsal=True)
    manifest.write_text('workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [a]\n')
    own = target_of(str(manifest), tmp_path / "out/cards.rehearsal", rehearsal=True)

    assert unreadable == [str(manifest), "--rehearse", "--output", str(folder / "job")]
    assert own == [str(manifest), "--rehearse"]
