"""Two runs at the same time with one key."""

from __future__ import annotations

import dataclasses

import pytest

from tests.bench._windows import most_in
from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.commands import PATIENCE


@pytest.fixture
def pair(command: Command) -> tuple[Command, Command]:
    """Return the commands of two jobs with 20 items each."""
    other = dataclasses.replace(
        command, folder=command.folder / "other", manifest=command.manifest.with_name("other.yaml")
    )
    for job, first in ((command, 0), (other, 100)):
        write_manifest(job.manifest, 20)
        text = job.manifest.read_text().replace("rate: 50/s, in", "rate: 5/s, in")
        job.manifest.write_text(text.replace("horse number", f"horse of {first} number"))
    return command, other


def submission_times(pair: tuple[Command, Command], service: Service, *options: str) -> list[float]:
    """Run both jobs at the same time; return the seconds of their submissions."""
    processes = [job.start("run", "--quiet", *options) for job in pair]
    for process in processes:
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")
    return sorted(task["time"] for task in service.ledger()["submissions"])


def test_two_runs_on_one_key_send_no_more_than_one(
    pair: tuple[Command, Command], service: Service
) -> None:
    times = submission_times(pair, service)

    assert len(times) == 40
    assert most_in(times, 1.0) <= 6
    assert times[-1] - times[0] < 39 / 5 * 1.2


def test_share_rate_false_gives_each_run_its_own_rate(
    pair: tuple[Command, Command], service: Service
) -> None:
    for job in pair:
        text = job.manifest.read_text().replace("limits: {", "limits: {share_rate: false, ")
        job.manifest.write_text(text)

    times = submission_times(pair, service)

    assert len(times) == 40
    assert most_in(times, 1.0) > 6
