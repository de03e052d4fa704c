"""`verify`: check every file against what the journal recorded."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import click

from batch_runner.cli.given_job import compare, find_job
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    USAGE_ERROR,
    help_epilog,
    job_argument,
    job_output_option,
    json_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_json, print_line
from batch_runner.jobdir.results import results_of
from batch_runner.jobdir.sidecars import Sidecars
from batch_runner.journal import Change, open_reader
from batch_runner.lifecycle import FILE_DAMAGED, Event, ItemStatus
from batch_runner.storage.verify import find_damage
from batch_runner.util.locale import mark_tr, status_word, tr, tr_n
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.jobdir.results import Results
    from batch_runner.journal import ItemRow, ManifestDiff
    from batch_runner.manifest import Manifest

#: Items that are checked before the next ones are read.
_CHUNK = 100
#: Why an item that no run has seen is not valid.
_NEW = mark_tr("listed, and not run yet")


@help_epilog(
    "batch-runner verify jobs/year_of_the_horse.yaml",
    "batch-runner verify jobs/year_of_the_horse.yaml --deep",
    "batch-runner verify jobs/year_of_the_horse.yaml --redownload",
    exit_status={
        "0": "Every item of the manifest is done, and its files are complete and unchanged.",
        "1": "Some are not; each is named.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
        "5": "With --redownload: another run is working on the job. Nothing was changed.",
    },
)
@click.command("verify")
@job_argument
@job_output_option
@rehearsal_option
@click.option("--deep", is_flag=True, help="Decode every picture, too (slow).")
@click.option(
    "--redownload",
    is_flag=True,
    help="Move damaged files away and let the next run download them again, without paying.",
)
@json_option
def command(
    manifest: Path | None,
    output: Path | None,
    *,
    rehearse: bool,
    deep: bool,
    redownload: bool,
    as_json: bool,
) -> int:
    """Check every item of MANIFEST: is it done, are its files complete and unchanged?"""
    job = find_job(manifest, output, rehearse=rehearse)
    folder, results = job.folder, results_of(job.folder)
    valid = 0
    damaged: list[ItemRow] = []
    with open_reader(folder.journal) as reader:
        job, now = compare(reader, job)
        loaded = job.manifest
        total = _print_new(now, loaded, as_json=as_json) if loaded and now and now.new else 0
        lists = (lambda item: now.lists(item.row)) if now else (lambda item: item.listed)
        items = (item for item in reader.items() if lists(item) or item.files)
        for item, why in _with_problems(results, items, deep=deep):
            total += 1
            valid += why is None
            if as_json:
                print_json(
                    {"id": item.id, "status": item.status.value, "ok": why is None, "why": why}
                )
            elif why:
                _print_wrong(item, why)
            if why and item.status is ItemStatus.DONE:
                damaged.append(item)
    if loaded is not None and loaded.settings.output.sidecar == "json":
        Sidecars(folder).sync()
    if redownload and damaged:
        _requeue_downloads(folder, damaged)
    if not as_json:
        print_line(
            tr_n(
                "{valid} of {count} item valid",
                "{valid} of {count} items valid",
                total,
                valid=valid,
            )
        )
    return 0 if valid == total and not job.unusable else 1


def _print_new(now: ManifestDiff, manifest: Manifest, *, as_json: bool) -> int:
    """Print the items that no run has seen; return how many. Expands the manifest once more."""
    count = 0
    for one in now.differences(manifest.items()):
        if one.status is not None:
            continue
        count += 1
        if as_json:
            print_json({"id": one.spec.id, "status": "new", "ok": False, "why": _NEW})
        else:
            print_line(tr("{id}: {problem}", id=one.spec.id, problem=tr(_NEW)))
    return count


def _print_wrong(item: ItemRow, why: str) -> None:
    if item.status is not ItemStatus.DONE:
        why = tr("not done, but {status}", status=status_word(item.status))
    print_line(tr("{id}: {problem}", id=item.id, problem=why))


def _with_problems(
    results: Results, items: Iterator[ItemRow], *, deep: bool
) -> Iterator[tuple[ItemRow, str | None]]:
    """Yield each item with what is wrong with it; see `_problem_of`."""
    check = functools.partial(_problem_of, results, deep=deep)
    with ThreadPoolExecutor(results.readers, thread_name_prefix="verify") as pool:
        while chunk := list(islice(items, _CHUNK)):
            yield from zip(chunk, pool.map(check, chunk), strict=True)


def _problem_of(results: Results, item: ItemRow, *, deep: bool) -> str | None:
    """Return what is wrong with an item as a sentence; None if its files are valid."""
    if item.status is not ItemStatus.DONE:
        return f"not done, but {item.status.value}"
    found = (find_damage(results, file, deep=deep) for file in item.files)
    return next((why for why in found if why), None)


def _requeue_downloads(folder: JobFolder, items: list[ItemRow]) -> None:
    """Move damaged files into `.batch/damaged` and let the next run download them again."""
    from batch_runner.jobdir.open import open_job
    from batch_runner.jobdir.removed import move_out

    with open_job(folder.root, None, state=state_folder()) as job:
        results = results_of(folder)
        count = job.requeued  # missing files were re-queued when the job was opened
        for item in items:
            if job.journal.status_of(item.key) is not ItemStatus.DONE:
                continue
            for file in item.files:
                if find_damage(results, file):
                    move_out(folder, file.name, item.key, to="damaged")
            event = Event.FILE_MISSING
            job.journal.apply(Change(key=item.key, event=event, reason=FILE_DAMAGED))
            count += 1
    print_line(
        tr_n(
            "{count} item will be downloaded again by the next run, without paying",
            "{count} items will be downloaded again by the next run, without paying",
            count,
        ),
        error=True,
    )
