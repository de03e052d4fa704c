"""`verify` and `status` after the manifest has changed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.commands import run_command

pytestmark = pytest.mark.slow

CHANGED = "the manifest has changed since the last run"


def write_rows(command: Command, rows: str) -> None:
    """Take the items from a CSV file with these rows."""
    text = command.manifest.read_text().partition("prompts:\n")[0]
    text = text.removesuffix("items_from: cards.csv\n")
    command.manifest.write_text(text + "items_from: cards.csv\n")
    command.folder.joinpath("cards.csv").write_text("id,prompt\n" + rows)


def with_a_photo(command: Command) -> Path:
    """Add an input file to every item; return its path."""
    photo = command.folder / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    text = command.manifest.read_text()
    text = text.replace('{text: "{{ prompt }}"}', '{text: "{{ prompt }}", photo: "{{ photo }}"}')
    command.manifest.write_text(text.replace("prompts:\n", "files: {photo: photo.png}\nprompts:\n"))
    return photo


@pytest.mark.parametrize("rehearsal", [[], ["--rehearse"]])
def test_items_never_run_are_named_and_counted(
    rehearsal: list[str], command: Command, service: Service
) -> None:
    write_manifest(command.manifest, 2)
    command("run", *rehearsal)
    write_manifest(command.manifest, 4)

    verified, as_json = command("verify", *rehearsal), command("verify", "--json", *rehearsal)
    status = command("status", *rehearsal)

    assert (verified.returncode, as_json.returncode, status.returncode) == (1, 1, 3)
    assert verified.stdout.splitlines() == [
        "card-2: listed, and not run yet",
        "card-3: listed, and not run yet",
        "2 of 4 items valid",
    ]
    rows = {row["id"]: row for row in map(json.loads, as_json.stdout.splitlines())}
    assert [rows[f"card-{n}"]["ok"] for n in range(4)] == [True, True, False, False]
    assert (rows["card-3"]["status"], rows["card-3"]["why"]) == ("new", "listed, and not run yet")
    assert status.stderr == f"{CHANGED}: 2 new; see `plan`\n"
    command("run", *rehearsal)
    assert command("verify", *rehearsal).returncode == 0
    status = command("status", *rehearsal)
    assert (status.returncode, status.stderr) == (0, "")


def test_row_added_to_the_data_file_counts_as_new(command: Command, service: Service) -> None:
    write_rows(command, "a,a horse\n")
    command("run")
    write_rows(command, "a,a horse\nb,a mare\n")

    verified, status = command("verify"), command("status", "--json")

    assert (verified.returncode, status.returncode) == (1, 3)
    assert "b: listed, and not run yet" in verified.stdout
    assert f"{CHANGED}: 1 new" in status.stderr
    assert [json.loads(line)["id"] for line in status.stdout.splitlines()] == ["a"]


def test_unlisted_item_with_files_is_still_verified(command: Command, service: Service) -> None:
    command("run", "--max-submissions", "5")
    write_manifest(command.manifest, 3)

    verified, status = command("verify"), command("status")

    assert (verified.returncode, verified.stdout) == (0, "5 of 5 items valid\n")
    assert (status.returncode, status.stderr) == (3, f"{CHANGED}; see `plan`\n")


def test_item_listed_again_without_a_file_is_not_done(command: Command, service: Service) -> None:
    command("run", "--max-submissions", "5")
    write_manifest(command.manifest, 5)
    assert command("run").returncode == command("status").returncode == 0
    write_manifest(command.manifest, 8)

    verified, status = command("verify"), command("status")

    assert (verified.returncode, status.returncode) == (1, 1)
    assert "card-7: not done, but pending" in verified.stdout
    assert "5 of 8 items valid" in verified.stdout
    assert status.stderr == f"{CHANGED}; see `plan`\n"


def test_unchanged_list_by_another_path_is_the_same(command: Command, service: Service) -> None:
    with_a_photo(command)
    command("run")

    for name in ("verify", "status"):
        words = (name, command.manifest.name, "--output", "out")
        done = run_command(*words, environment=command.environment, folder=command.folder)
        assert (done.returncode, done.stderr) == (0, "")


def test_invalid_manifest_is_reported_as_plan_reports_it(
    command: Command, service: Service
) -> None:
    photo = with_a_photo(command)

    def call(name: str) -> subprocess.CompletedProcess[str]:
        """Run a command without --output, which would do without the manifest."""
        return run_command(name, command.manifest, environment=command.environment)

    def all_three() -> list[subprocess.CompletedProcess[str]]:
        return [call(name) for name in ("plan", "verify", "status")]

    call("run")
    photo.unlink()
    without_photo = all_three()
    write_rows(command, 'a,a horse\n"b,a mare\n')
    broken_row = all_three()
    command.manifest.write_text("prompts: 3\n")
    no_manifest = all_three()

    for planned, verified, status in (without_photo, broken_row, no_manifest):
        assert (planned.returncode, verified.returncode, status.returncode) == (2, 2, 2)
        assert (verified.stdout, verified.stderr) == ("", planned.stderr)
        assert status.stderr == planned.stderr
    assert "photo.png" in without_photo[1].stderr
    assert "cards.csv:3" in broken_row[1].stderr


def test_verify_and_status_write_nothing(command: Command, service: Service) -> None:
    command("run")
    write_manifest(command.manifest, 9)
    before = {path: path.stat().st_mtime_ns for path in command.out.rglob("*")}

    command("verify")
    command("status")

    assert {path: path.stat().st_mtime_ns for path in command.out.rglob("*")} == before


def test_verify_and_status_speak_chinese(command: Command, service: Service) -> None:
    command("run")
    write_manifest(command.manifest, 9)
    command.environment |= {"LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1"}

    assert command("verify").stdout == "card-8：已列出，尚未运行过\n9 项中有 8 项完好\n"
    assert command("status").stderr == "清单在上次运行之后有变动：新增 1 项；请用 `plan` 查看\n"
