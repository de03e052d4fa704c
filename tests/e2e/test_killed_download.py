"""A run that is killed between two files of one task goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Command, Service, kill, simulator, wait_until, write_manifest


@pytest.fixture
def service() -> Iterator[Service]:
    with simulator("--outputs", "3") as running:
        yield running


def test_killed_between_two_files_costs_nothing(service: Service, command: Command) -> None:
    write_manifest(command.manifest, 1)
    service.set_faults("hang:download:after=1")
    run = command.start("run")
    wait_until(lambda: bool(command.pictures()))
    kill(run)
    assert len(command.pictures()) == 1

    service.set_faults()
    finished = command("run")

    assert finished.returncode == 0, finished.stderr
    assert command.statuses() == {"card-0": "done"}
    names = [f"card-0-{number}.png" for number in (1, 2, 3)]
    assert [path.name for path in command.pictures()] == names
    assert sum(service.paid().values()) == 1
