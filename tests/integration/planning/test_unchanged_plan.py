"""A plan of a manifest that was imported last is made from the journal, and is the same plan."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_runner.api import steps
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import ItemImport
from batch_runner.settings import Settings
from tests.integration.planning.conftest import EVENTS, Job, kinds

HEAD = 'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\n'
MATRIX = HEAD + 'matrix: {a: [red, blue, grey], b: ["1", "2", "3"]}\nprompts: ["{{ a }} {{ b }}"]\n'
CSV = HEAD + 'items_from: rows.csv\noutput: {name: "{{ city }}/{{ id }}"}\n'
ROWS = "id,prompt,city\n" + "".join(f"i{n},horse {n},c{n % 3}\n" for n in range(9))
SKIPPED = HEAD + "on_duplicate: skip\nprompts: [a, b, a, c, b, d, e, f, g, h]\n"
EQUAL = HEAD + "repeat: 3\nprompts: [a, b, c]\n"
PRICED = HEAD + "limits: {price: 0.10 CNY, max_cost: 0.20 CNY}\nprompts: [a, b, c, d, e, f, g, h]\n"
MANY = HEAD + f"prompts: [{', '.join(f'horse {n}' for n in range(60))}]\n"
MANIFESTS = {
    "matrix": MATRIX,
    "csv": CSV,
    "skipped": SKIPPED,
    "equal": EQUAL,
    "priced": PRICED,
}

FLAGS: tuple[tuple[str, ...], ...] = (
    (),
    ("--json",),
    ("--json", "--rate", "2/s", "--in-flight", "50"),
    ("--json", "--max-submissions", "6"),
    ("--json", "--sample", "4", "--seed", "3"),
    ("--json", "--first", "5"),
    ("--only", "*"),
)


def write(job: Job, text: str) -> None:
    job.manifest.write_text(text)
    job.manifest.with_name("rows.csv").write_text(ROWS)


def run_imports(job: Job) -> None:
    """Import the items as a run does."""
    with job.opened() as opened:
        manifest = steps.load_manifest(job.manifest).of_job(opened.journal.facts())
        steps.import_items(opened, manifest, Settings(), ItemImport(manifest.items))


def have_statuses(job: Job) -> None:
    """Give each status to an item; the last two stay pending."""
    ids = [spec.id for spec in steps.load_manifest(job.manifest).items()]
    job.root.mkdir(parents=True, exist_ok=True)
    for spec in steps.load_manifest(job.manifest).items():
        (job.root / spec.name).parent.mkdir(exist_ok=True)
    statuses = [status for status in EVENTS if status != "pending"]
    job.set_statuses(**dict(zip(ids[:-2], statuses * 2, strict=False)))


def execute(job: Job, statement: str) -> None:
    with closing(sqlite3.connect(JobFolder(job.root).journal)) as connection, connection:
        connection.execute(statement)


def from_journal(job: Job) -> bool:
    """Return whether a plan expands no items."""
    manifest = steps.manifest_of_job(steps.load_manifest(job.manifest), job.root)
    return steps.items_to_plan(manifest, job.root) is None


def same_plans(job: Job, plan: Any) -> list[Any]:
    """Return the plans from the journal after comparing them with those of expanded items."""
    assert from_journal(job)
    found = [plan(*flags) for flags in FLAGS]
    execute(job, "UPDATE last_import SET fingerprint = 'another'")
    assert not from_journal(job)
    assert json.dumps(found) == json.dumps([plan(*flags) for flags in FLAGS])
    return found


@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_plan_from_the_journal_is_the_same(text: str, job: Job, plan: Any) -> None:
    write(job, HEAD + "prompts: [no longer listed, another]\n")
    run_imports(job)
    write(job, text)
    have_statuses(job)
    job.learn(30, 50)
    run_imports(job)
    next(job.root.rglob("*.png")).unlink()

    found = same_plans(job, plan)

    assert found[1]["missing_on_disk"] == 1
    assert found[1]["unlisted"] == 2


def test_first_of_many_items_are_the_same(job: Job, plan: Any) -> None:
    write(job, MANY)
    run_imports(job)
    execute(job, "UPDATE items SET status = 'failed' WHERE position > 5 AND position < 50")

    found = same_plans(job, plan)

    assert len(found[1]["named"]["failed"]) == 20
    assert found[1]["submissions"] == 16


def test_plan_of_unchanged_manifest_expands_no_item(job: Job, plan: Any) -> None:
    write(job, MATRIX)
    run_imports(job)
    execute(job, "UPDATE items SET import_number = 0 WHERE position < 2")

    assert (plan("--json")["items"], plan("--json")["unlisted"]) == (7, 2)


@pytest.mark.parametrize("text", [SKIPPED, EQUAL], ids=["skipped", "equal"])
def test_warning_about_duplicates_is_kept(text: str, job: Job, plan: Any) -> None:
    write(job, text)
    before = plan("--json")["warnings"]
    run_imports(job)

    found = plan("--json")["warnings"]

    assert from_journal(job)
    assert found == before
    assert found[0]["kind"] == "manifest"


def _add_row(folder: Path) -> None:
    (folder / "rows.csv").write_text(ROWS + "new,another horse,c1\n")


def _add_variable(folder: Path) -> None:
    text = (folder / "cards.yaml").read_text()
    (folder / "cards.yaml").write_text(text.replace("{{ prompt }}", "a {{ prompt }}"))


def _change_day(folder: Path) -> None:
    execute(Job(folder), "UPDATE job SET today = '2001-01-01'")


@pytest.mark.parametrize(("change", "count"), [(_add_row, 1), (_add_variable, 9), (_change_day, 0)])
def test_items_that_may_differ_are_expanded(
    change: Callable[[Path], None], count: int, job: Job, plan: Any
) -> None:
    write(job, CSV)
    run_imports(job)
    assert from_journal(job)

    change(job.manifest.parent)

    assert not from_journal(job)
    found = plan("--json")
    assert found["new"] + found["changed"] == count


def test_items_with_input_files_are_expanded(job: Job, plan: Any) -> None:
    photo = job.manifest.with_name("horse.png")
    photo.write_bytes(b"a horse")
    write(job, HEAD.replace("{{ prompt", "{{ photo }} {{ prompt") + "prompts: [a]\n")
    with job.manifest.open("a") as file:
        file.write("files: {photo: horse.png}\n")
    run_imports(job)
    photo.write_bytes(b"another horse")

    assert not from_journal(job)
    assert plan("--json")["new"] == 1


def test_import_of_unknown_duplicates_is_expanded(job: Job, plan: Any) -> None:
    write(job, EQUAL)
    run_imports(job)
    execute(job, "UPDATE last_import SET duplicates = NULL")

    assert not from_journal(job)
    assert kinds(plan("--json"), "warnings") == ["manifest"]
