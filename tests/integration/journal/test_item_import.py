"""Which rows an import writes, and how often it expands the manifest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.journal import ItemImport, Journal, open_reader
from batch_runner.journal.item_import import PAGE
from batch_runner.models import ItemSpec
from tests.harness import some_items

COUNT = PAGE + 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / ".batch").mkdir()
    return tmp_path / ".batch" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with closing(Journal.create(path, job="cards", provider="baicai", origin="x")) as made:
        yield made


def import_number(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT import_number FROM job").fetchone()[0])


def listed(path: Path) -> list[str]:
    with open_reader(path) as reader:
        return [row.id for row in reader.items() if row.listed]


def content(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT rowid, * FROM items ORDER BY rowid").fetchall()


def test_import_of_the_same_items_writes_none(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(COUNT))
    size, before = path.stat().st_size, content(path)

    imported = journal.import_items(some_items(COUNT))

    assert (imported.new, imported.known, imported.unlisted) == (0, COUNT, 0)
    assert (content(path), path.stat().st_size, import_number(path)) == (before, size, 1)


def test_added_items_leave_the_others_unchanged(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(COUNT))
    before = content(path)

    imported = journal.import_items(some_items(COUNT + 2))

    assert (imported.new, imported.known, imported.unlisted) == (2, COUNT, 0)
    assert content(path)[:COUNT] == before
    assert (len(listed(path)), import_number(path)) == (COUNT + 2, 1)


def test_unlisted_item_raises_the_import_number(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(COUNT))

    journal.import_items(some_items(COUNT)[1:])
    journal.import_items(some_items(COUNT)[2:])

    assert (len(listed(path)), import_number(path)) == (COUNT - 2, 3)
    assert [row[3] for row in content(path)[:3]] == [1, 2, 3]


@pytest.mark.parametrize(("kept_bytes", "passes"), [(10_000_000, 1), (100, 2)])
def test_checked_items_are_expanded_again_if_too_large(
    kept_bytes: int, passes: int, journal: Journal, path: Path
) -> None:
    expanded = []

    def specs() -> Iterator[ItemSpec]:
        expanded.append(1)
        yield from some_items(COUNT)

    checked = ItemImport(specs, kept_bytes=kept_bytes)
    checked.check()

    assert journal.import_items(checked).new == COUNT
    assert (len(expanded), len(listed(path))) == (passes, COUNT)
