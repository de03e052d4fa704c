"""`export` in a subprocess, on a job whose journal the test wrote."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from batch_runner.lifecycle import Event
from batch_runner.models import ItemSpec, PlacedFile
from batch_runner.util.fs import file_sha256
from tests.e2e.conftest import write_manifest
from tests.harness.commands import PATIENCE, PROGRAM, run_command
from tests.harness.stored_job import StoredJob, an_item, png_bytes


def a_placed(path: Path, name: str) -> PlacedFile:
    size = path.stat().st_size
    return PlacedFile(name=name, size=size, sha256=file_sha256(path), media_type="image/png")


@dataclass
class Choice:
    """A finished job, a picks file and a folder to copy to."""

    job: StoredJob
    manifest: Path
    picks: Path
    to: Path

    def done(self, item: ItemSpec, name: str) -> Path:
        """Record an item as done, with a file `name` in the output folder."""
        path = self.job.folder / name
        path.write_bytes(png_bytes(item.position))
        placed = a_placed(path, name)
        self.job.submitted(item)
        self.job.record(item, Event.TASK_COMPLETED)
        self.job.record(item, Event.PLACED, files=(placed,))
        return path

    def pick(self, *items: ItemSpec) -> None:
        """Write a picks file as the report exports it."""
        picks = [{"key": one.key, "id": one.id, "favourite": True, "note": ""} for one in items]
        self.picks.write_text(json.dumps({"job": "x", "picks": picks}), "utf-8")

    def export(self, *, largest_file: int | None = None) -> subprocess.CompletedProcess[str]:
        """Export; `largest_file` is the size in bytes at which the disk is full."""
        words = ["export", str(self.manifest), "--output", str(self.job.folder)]
        words += ["--picks", str(self.picks), "--to", str(self.to)]
        if largest_file is None:
            return run_command(*words)
        limits = (largest_file, largest_file)
        return subprocess.run(
            [*PROGRAM, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        )

    def prompts(self) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = json.loads((self.to / "prompts.json").read_text("utf-8"))
        return content


@pytest.fixture
def choice(tmp_path: Path) -> Iterator[Choice]:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 1)
    choice = Choice(
        StoredJob(tmp_path / "out"), manifest, tmp_path / "picks", tmp_path / "to/there"
    )
    yield choice
    choice.job.journal.close()


ITEMS = [an_item(0, "a horse"), an_item(1, '马年 "大吉"\n🐎'), an_item(2, "a foal")]


def a_finished_job(choice: Choice) -> list[Path]:
    choice.job.list(*ITEMS)
    return [choice.done(item, f"card-{item.position}.png") for item in ITEMS]


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_chosen_files_are_copied_with_their_prompts(choice: Choice) -> None:
    paths = a_finished_job(choice)
    choice.pick(ITEMS[0], ITEMS[1])

    done = choice.export()

    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.name for path in choice.to.iterdir())
    assert names == ["card-0.png", "card-1.png", "prompts.json"]
    copy = choice.to / "card-1.png"
    assert copy.read_bytes() == paths[1].read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o666 & ~umask()  # to be shared, unlike the original
    assert copy.stat().st_mtime_ns == paths[1].stat().st_mtime_ns
    assert [(one["id"], one["files"], one["prompt"]) for one in choice.prompts()] == [
        (item.id, [f"card-{item.position}.png"], item.prompt) for item in ITEMS[:2]
    ]


@pytest.mark.parametrize("text", ["item-2\n\n item-0 \n", "card-0.png\ncard-2.png\n", "#1\n#3\n"])
def test_list_of_ids_names_or_numbers_is_accepted(text: str, choice: Choice) -> None:
    a_finished_job(choice)
    choice.picks.write_text(text)

    assert choice.export().returncode == 0
    assert {one["id"] for one in choice.prompts()} == {"item-0", "item-2"}


@pytest.mark.parametrize("bracket", ["[red]", "{1}"])
def test_list_whose_first_id_looks_like_json_is_a_list(bracket: str, choice: Choice) -> None:
    item = replace(ITEMS[0], id=f"{bracket} horse")
    choice.job.list(item, ITEMS[1])
    choice.done(item, "card-0.png")
    choice.done(ITEMS[1], "card-1.png")
    choice.picks.write_text(f"{item.id}\nitem-1\n")

    done = choice.export()

    assert (done.returncode, done.stderr) == (0, "")
    assert [one["id"] for one in choice.prompts()] == [item.id, "item-1"]


def test_item_with_a_note_but_no_favourite_is_not_copied(choice: Choice) -> None:
    a_finished_job(choice)
    picks = [
        {"key": ITEMS[0].key, "favourite": False, "note": "no"},
        {"key": ITEMS[1].key, "favourite": True, "note": "yes"},
        {"key": ITEMS[2].key, "favourite": True, "note": None},
    ]
    choice.picks.write_text(json.dumps({"picks": picks}))

    assert choice.export().returncode == 0
    notes = [(one["id"], one.get("note")) for one in choice.prompts()]
    assert notes == [("item-1", "yes"), ("item-2", None)]


def test_second_export_adds_to_the_first(choice: Choice) -> None:
    a_finished_job(choice)
    choice.pick(ITEMS[0])
    choice.export()
    choice.pick(ITEMS[0], ITEMS[2])

    again = choice.export()

    assert again.returncode == 0
    assert again.stdout.startswith("1 file copied")
    assert [one["id"] for one in choice.prompts()] == ["item-0", "item-2"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("card-1.png", "file"),
        ("card-1.png", "dead-link"),
        ("prompts.json", "file"),
        ("prompts.json", "folder"),
        ("prompts.json", "link"),
    ],
)
def test_existing_other_file_prevents_every_copy(name: str, kind: str, choice: Choice) -> None:
    a_finished_job(choice)
    choice.pick(*ITEMS)
    choice.to.mkdir(parents=True)
    letter, place = choice.to.parent / "letter", choice.to / name
    if kind != "dead-link":
        letter.write_text("a letter")
    if kind == "file":
        place.write_text("a letter")
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(letter)

    done = choice.export()

    assert done.returncode == 2
    assert "nothing was copied" in done.stderr
    assert [path.name for path in choice.to.iterdir()] == [name]
    assert letter.exists() is (kind != "dead-link")
    assert kind in ("folder", "dead-link") or place.read_text() == "a letter"


def test_full_disk_leaves_no_partial_file(choice: Choice) -> None:
    paths = a_finished_job(choice)
    choice.pick(*ITEMS)

    broken = choice.export(largest_file=paths[0].stat().st_size // 2)

    assert broken.returncode == 2
    assert "cannot write to" in broken.stderr
    assert list(choice.to.iterdir()) == []
    assert choice.export().returncode == 0
    assert (choice.to / "card-0.png").read_bytes() == paths[0].read_bytes()


@pytest.mark.parametrize("name", ["../card.png", "/{}/card.png", "a/../../card.png"])
def test_path_in_the_journal_cannot_leave_the_folder(name: str, choice: Choice) -> None:
    outside = choice.job.folder.parent
    name = name.format(outside)
    choice.job.list(*ITEMS[:2])
    (choice.job.folder / "a").mkdir()
    good = choice.done(ITEMS[0], "good.png")
    (outside / "card.png").write_bytes(good.read_bytes())
    placed = a_placed(good, name)
    choice.job.submitted(ITEMS[1])
    choice.job.record(ITEMS[1], Event.TASK_COMPLETED)
    choice.job.record(ITEMS[1], Event.PLACED, files=(placed,))
    choice.pick(*ITEMS[:2])

    done = choice.export()

    assert done.returncode == 1
    assert "not copied" in done.stderr
    assert {path.name for path in choice.to.iterdir()} == {"good.png", "prompts.json"}
    assert not (choice.to.parent / "card.png").exists()


def test_unusual_plain_name_is_copied(choice: Choice) -> None:
    item = replace(ITEMS[0])
    choice.job.list(item)
    choice.done(item, "$(rm -rf) 'x' \u202e马年 %s.png")
    choice.pick(item)

    assert choice.export().returncode == 0
    assert len(os.listdir(choice.to)) == 2  # noqa: PTH208  names as the disk has them


def test_files_that_cannot_be_copied_are_named(choice: Choice) -> None:
    paths = a_finished_job(choice)
    paths[0].unlink()
    paths[1].write_bytes(b"half")
    choice.pick(*ITEMS, an_item(9))

    done = choice.export()

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3
    assert {path.name for path in choice.to.iterdir()} == {"card-2.png", "prompts.json"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"picks": 3}', "no-such-item\n", "\x00\udc80", "[" * 100_000],
    ids=range(7),
)
def test_invalid_picks_file_is_one_line_of_error(text: str, choice: Choice) -> None:
    a_finished_job(choice)
    choice.picks.write_text(text, "utf-8", "surrogateescape")

    done = choice.export()

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not choice.to.exists()
