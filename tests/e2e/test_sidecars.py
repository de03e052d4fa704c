"""`output.sidecar` and `output.keep`, from the command line."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest

from tests.e2e.conftest import Command, Service, write_manifest

pytestmark = pytest.mark.slow

SIDECARS = "output: {name: 'ink/{{ id }}', sidecar: json}\n"


def test_sidecars_are_written_and_written_again(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 2, more=SIDECARS)

    assert command("run").returncode == 0

    folder = command.out / "ink"
    names = ["card-0.json", "card-0.png", "card-1.json", "card-1.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    sidecar = folder / "card-1.json"
    text = sidecar.read_text()
    content = json.loads(text)
    picture = (folder / "card-1.png").read_bytes()
    assert content["sha256"] == hashlib.sha256(picture).hexdigest()
    assert (content["id"], content["prompt"]) == ("card-1", "a horse number 1")
    assert str(command.folder) not in text
    for again in ("run", "verify"):
        sidecar.unlink()
        assert command(again).returncode == 0
        assert sidecar.read_text() == text
    assert sum(service.paid().values()) == 2


def test_sidecar_goes_with_a_file_that_is_taken_back(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1, more=SIDECARS)
    command("run")

    held = command("resolve", "card-0", "hold")

    assert held.returncode == 0
    assert list((command.out / "ink").iterdir()) == []
    removed = (path.stem for path in (command.out / ".batch" / "removed").iterdir())
    assert sorted(removed) == ["ink-card-0.json", "ink-card-0.png"]


def test_sidecar_never_replaces_a_file_of_the_user(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1, more="output: {sidecar: json}\n")
    command.out.mkdir()
    (command.out / "card-0.json").write_text("mine")

    run = command("run")

    assert run.returncode == 0
    assert "card-0.png gets no sidecar: card-0.json is another file, and is kept" in run.stderr
    assert (command.out / "card-0.json").read_text() == "mine"


def test_sidecars_beside_text_results_are_refused(command: Command, service: Service) -> None:
    more = "output: {sidecar: json, kinds: [image, text]}\n"
    write_manifest(command.manifest, 1, more=more)

    run = command("run")

    assert run.returncode == 2
    assert "leave out sidecar, or text in kinds: both may write NAME.json" in run.stderr
    assert service.paid() == {}


def test_keep_removes_old_logs(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1, more="output: {keep: 30d}\n")
    command("run")
    logs = command.out / ".batch" / "logs"
    old = [logs / f"run-20250101-{number:06}.log" for number in range(40)]
    for path in old:
        path.touch()
    then = time.time() - 31 * 86400
    os.utime(old[0], (then, then))

    assert command("run").returncode == 0

    assert [path.exists() for path in old] == [False] + [True] * 39
