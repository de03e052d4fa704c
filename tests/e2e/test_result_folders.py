"""Folders in the names of results, from the run to the report, and the modes of files."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, write_manifest

pytestmark = pytest.mark.slow

FOLDERS = "output: {name: '{{ today }}/{{ prompt | slug }}/{{ id }}'}\n"


def results(command: Command) -> list[str]:
    """Return the names of the results, with their folders."""
    return sorted(str(path.relative_to(command.out)) for path in command.out.rglob("[!.]*.png"))


def test_results_in_folders_are_found_by_every_command(
    command: Command, service: Service, tmp_path: Path
) -> None:
    write_manifest(command.manifest, 2, more=FOLDERS)

    run = command("run")

    assert run.returncode == 0
    day = time.strftime("%Y-%m-%d")
    names = [f"{day}/a-horse-number-{n}/card-{n}.png" for n in (0, 1)]
    assert results(command) == names
    assert command("run").returncode == 0  # finds them all
    assert sum(service.paid().values()) == 2
    assert command("verify", "--deep").returncode == 0
    picks, chosen = tmp_path / "picks.txt", tmp_path / "chosen"
    picks.write_text(f"{names[1]}\n")
    assert command("export", "--picks", str(picks), "--to", str(chosen)).returncode == 0
    assert (chosen / names[1]).read_bytes() == (command.out / names[1]).read_bytes()
    again = command("export", "--picks", str(picks), "--to", str(chosen))
    assert again.stdout.startswith("0 files copied")
    assert command("report", "--share", str(tmp_path / "shared.html")).returncode == 0
    assert (tmp_path / "shared.html").read_text().count("<img ") == 2


def test_deleted_result_in_a_folder_is_downloaded_again(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 2, more=FOLDERS)
    command("run")
    before = results(command)
    (command.out / before[0]).unlink()
    (command.out / before[1]).write_bytes(b"edited")

    requeued = command("verify", "--redownload")
    run = command("run")

    assert "2 items will be downloaded again" in requeued.stderr
    assert run.returncode == 0
    assert results(command) == before
    assert sum(service.paid().values()) == 2
    (kept,) = (command.out / ".batch" / "damaged").iterdir()
    assert re.fullmatch(r"20.*-a-horse-number-1-card-1\.png\.\w{8}", kept.name)


def test_today_stays_the_day_of_the_first_run(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1, more=FOLDERS)
    command.environment["TZ"] = "XXX-14"
    first = json.loads(command("plan", "--json").stdout)["first"][0]["name"]
    command("run")
    write_manifest(command.manifest, 2, more=FOLDERS)
    command.environment["TZ"] = "XXX+12"  # always another day than XXX-14

    planned = json.loads(command("plan", "--json").stdout)["first"][0]["name"]
    command("run")

    assert first.split("/")[0] == planned.split("/")[0]
    assert [name.split("/")[0] for name in results(command)] == [first.split("/")[0]] * 2


@pytest.mark.parametrize("kind", ["link", "file"])
def test_folder_that_leads_elsewhere_is_refused_before_paying(
    command: Command, service: Service, tmp_path: Path, kind: str
) -> None:
    write_manifest(command.manifest, 1, more="output: {name: 'ink/deep/{{ id }}'}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command.out.mkdir()
    if kind == "link":
        (command.out / "ink").symlink_to(elsewhere)
    else:
        (command.out / "ink").write_text("mine")

    plan, run = json.loads(command("plan", "--json").stdout), command("run")

    assert [one["kind"] for one in plan["blockers"]] == ["result_folder"]
    assert run.returncode == 2
    assert f"results cannot be stored in {command.out}/ink, which is a link" in run.stderr
    assert service.paid() == {}
    assert list(elsewhere.iterdir()) == []
    (command.out / "ink").unlink()
    assert command("run").returncode == 0


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_results_follow_the_umask_and_the_rest_is_private(
    command: Command, service: Service, mask: int
) -> None:
    write_manifest(command.manifest, 1, more="output: {name: 'ink/{{ id }}', sidecar: json}\n")
    before = os.umask(mask)
    try:
        command("run")
    finally:
        os.umask(before)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    ink = command.out / "ink"
    assert [mode(command.out), mode(ink)] == [0o777 & ~mask] * 2
    files = [ink / "card-0.png", ink / "card-0.json", command.out / "index.html"]
    assert {mode(path) for path in files} == {0o666 & ~mask}
    private = command.out / ".batch"
    for path in (private, *private.rglob("*"), command.out / ".batch-job.json"):
        assert mode(path) & 0o077 == 0, path
