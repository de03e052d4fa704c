"""Results that are no pictures, as a user of the commands sees them."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Command, Service, write_manifest

pytestmark = pytest.mark.slow

ACCEPT = "output: {kinds: [image, video, audio, model, other, svg]}\n"


def test_job_of_many_kinds_is_done_verified_and_exported(
    command: Command, service: Service
) -> None:
    kinds = ("webm", "avif", "tiff", "mp3", "wav", "flac", "glb", "zip")
    service.set_faults(
        *(f"other_kind:kind={kind}:match=number {n}" for n, kind in enumerate(kinds)),
    )

    assert command("run").returncode == 0

    names = [path.name for path in command.pictures()]
    ends = ("webm", "avif", "tif", "mp3", "wav", "flac", "glb", "zip")
    assert names == [f"card-{n}.{end}" for n, end in enumerate(ends)]
    assert command("verify", "--deep").returncode == 0
    picks = command.folder / "picks.txt"
    picks.write_text("\n".join(names))
    chosen = command.folder / "chosen"
    process = command("export", "--picks", str(picks), "--to", str(chosen))
    assert process.returncode == 0, process.stderr
    assert sorted(path.name for path in chosen.iterdir()) == [*names, "prompts.json"]


def test_svg_is_got_without_paying_again_once_it_is_accepted(
    command: Command, service: Service
) -> None:
    write_manifest(command.manifest, 3)
    service.set_faults("other_kind:kind=svg:match=number 1")

    first = command("run")
    status = command("status")
    rows = [json.loads(line) for line in command("status", "--json").stdout.splitlines()]
    write_manifest(command.manifest, 3, more=ACCEPT)
    second = command("run")

    assert first.returncode == 1
    assert [row["status"] for row in rows] == ["done", "download_pending", "done"]
    assert "output.kinds: [image, video, audio, model, other, svg]" in status.stdout
    assert second.returncode == 0
    assert [path.name for path in command.pictures()] == ["card-0.png", "card-1.svg", "card-2.png"]
    assert sum(service.paid().values()) == 3
    assert not any((command.out / ".batch" / "aside").iterdir())


def test_file_over_the_limit_is_got_once_the_limit_is_raised(
    command: Command, service: Service
) -> None:
    write_manifest(command.manifest, 1, more="downloads: {max_bytes: 1 kB}\n")
    first = command("run")
    status = command("status").stdout
    write_manifest(command.manifest, 1, more="downloads: {max_bytes: 1 MB}\n")

    assert first.returncode == 1
    assert "larger than 1,000 bytes (downloads.max_bytes)" in status
    assert command("run").returncode == 0
    assert sum(service.paid().values()) == 1
