"""The output folder of a job is moved while a run is working."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Command, Service, write_manifest

pytestmark = pytest.mark.slow


def test_moved_folder_stops_the_run_and_loses_nothing(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 40, more="output: {name: 'ink/{{ id }}', sidecar: json}\n")
    slow = command.manifest.read_text().replace("rate: 50/s", "rate: 5/s")
    command.manifest.write_text(slow)
    run = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) > 5)

    command.out.rename(command.folder / "moved")
    _, err = run.communicate()

    assert run.returncode == 3
    assert "was moved or removed; run again with the folder where it is now" in err
    assert "Traceback" not in err
    assert not command.out.exists()
    (command.folder / "moved").rename(command.out)
    assert command("run").returncode == 0
    assert sorted(service.paid().values()) == [1] * 40
    assert command("verify").returncode == 0
