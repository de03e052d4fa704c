"""What a journal keeps of its job for the items of the manifest: first day, and repeats to redo."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from batch_runner.journal import Journal, open_reader
from batch_runner.models import JobFacts

NOON = 1_780_000_000.0
DAY = time.strftime("%Y-%m-%d", time.localtime(NOON))
KEY, OTHER = "a" * 32, "b" * 32


def create(path: Path) -> Journal:
    return Journal.create(path, job="j", provider="p", origin="o", wall_clock=lambda: NOON)


def test_new_journal_has_the_day_of_its_creation(tmp_path: Path) -> None:
    with closing(create(tmp_path / "journal.sqlite")) as journal:
        assert journal.facts() == JobFacts(today=DAY)


def test_repeats_to_redo_are_kept_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(create(path)) as journal:
        journal.redo([(OTHER, 3), (KEY, 12), (KEY, 2)])
        journal.redo([(KEY, 2)])

    with open_reader(path) as reader:
        assert reader.facts() == JobFacts(today=DAY, redone={KEY: (2, 12), OTHER: (3,)})
