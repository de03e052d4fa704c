"""What an import of the manifest's list writes, and when it does not go through the list at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import NoReturn

import pytest

from batch_runner.journal import ItemImport, Journal, open_reader
from batch_runner.journal.item_import import PAGE
from batch_runner.models import ItemSpec
from tests.harness import an_item, some_items

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


def never() -> NoReturn:
    raise AssertionError("the list was gone through")


def not_to_be_read() -> Iterable[ItemSpec]:
    yield never()


def test_a_list_that_is_the_same_writes_no_item(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(COUNT))
    size, before = path.stat().st_size, content(path)

    imported = journal.import_items(some_items(COUNT))

    assert (imported.new, imported.known, imported.unlisted) == (0, COUNT, 0)
    assert (content(path), path.stat().st_size, import_number(path)) == (before, size, 1)


def test_items_that_are_added_leave_the_others_as_they_are(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(COUNT))
    before = content(path)

    imported = journal.import_items(some_items(COUNT + 2))

    assert (imported.new, imported.known, imported.unlisted) == (2, COUNT, 0)
    assert content(path)[:COUNT] == before
    assert (len(listed(path)), import_number(path)) == (COUNT + 2, 1)


def test_an_item_that_is_left_out_raises_the_number_of_the_list(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(COUNT))

    journal.import_items(some_items(COUNT)[1:])
    journal.import_items(some_items(COUNT)[2:])

    assert (len(listed(path)), import_number(path)) == (COUNT - 2, 3)
    assert [row[3] for row in content(path)[:3]] == [
        1,
        2,
        3,
    ]  # the later left out, the later listed


def test_a_list_with_nothing_of_the_last_one(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(3))

    imported = journal.import_items([an_item(9)])

    assert (imported.new, imported.known, imported.unlisted) == (1, 0, 3)
    assert listed(path) == ["item-9"]


def test_what_the_manifest_says_anew_is_taken_over(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(2))
    new = [
        replace(an_item(1), position=0, source="cards.yaml:2", attempts=4, variables={"a": "b"}),
        replace(an_item(0), position=1, id="first", name="first", prompt="other"),
    ]

    journal.import_items(new)

    with open_reader(path) as reader:
        one, other = reader.items()
    assert (one.id, one.source, one.attempts, one.variables) == (
        "item-1",
        "cards.yaml:2",
        4,
        {"a": "b"},
    )
    assert (other.id, other.name, other.prompt) == ("first", "first", "other")
    with open_reader(path) as reader:
        assert sum(len(reader.events(item.key)) for item in reader.items()) == 2


def test_a_list_of_the_same_fingerprint_is_not_gone_through(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(3), fingerprint=lambda: "a")
    before = content(path)

    imported = journal.import_items(
        not_to_be_read(), manifest="b.yaml", price="1 CNY", fingerprint=lambda: "a"
    )

    assert (imported.new, imported.known, imported.unlisted) == (0, 3, 0)
    assert content(path) == before
    with open_reader(path) as reader:
        assert (reader.job().manifest, reader.job().price) == ("b.yaml", "1 CNY")


@pytest.mark.parametrize("between", ["b", None])
def test_a_fingerprint_counts_only_right_after_its_list(
    between: str | None, journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(3), fingerprint=lambda: "a")
    journal.import_items(some_items(2), fingerprint=lambda: between)

    journal.import_items(some_items(3), fingerprint=lambda: "a")

    assert len(listed(path)) == 3


def test_a_list_that_is_changed_while_it_is_read_is_read_again(
    journal: Journal, path: Path
) -> None:
    told = iter("abb")
    journal.import_items(some_items(2), fingerprint=lambda: next(told))

    for mark in "ab":
        with pytest.raises(AssertionError, match="gone through"):
            journal.import_items(not_to_be_read(), fingerprint=repeat(mark).__next__)


def test_a_list_that_breaks_off_is_not_remembered(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(2), fingerprint=lambda: "a")
    before = content(path)

    def broken() -> Iterator[ItemSpec]:
        yield from some_items(COUNT)
        never()

    with pytest.raises(AssertionError):
        journal.import_items(broken(), fingerprint=lambda: "b")

    assert content(path) == before
    with pytest.raises(AssertionError):
        journal.import_items(not_to_be_read(), fingerprint=lambda: "b")
    journal.import_items(not_to_be_read(), fingerprint=lambda: "a")


@pytest.mark.parametrize(("held_bytes", "passes"), [(10_000_000, 1), (100, 2)])
def test_a_checked_list_is_gone_through_again_only_when_it_is_long(
    held_bytes: int, passes: int, journal: Journal, path: Path
) -> None:
    gone_through = []

    def specs() -> Iterator[ItemSpec]:
        gone_through.append(1)
        yield from some_items(COUNT)

    listing = ItemImport(specs, held_bytes=held_bytes)
    listing.check()

    assert journal.import_items(listing).new == COUNT
    assert (len(gone_through), len(listed(path))) == (passes, COUNT)


def test_a_list_that_is_changed_after_its_check_is_not_taken_for_the_new_one(
    journal: Journal, path: Path
) -> None:
    marks = ["a"]
    listing = ItemImport(lambda: some_items(2 if marks[-1] == "a" else 3))
    listing.check(marks[-1])
    marks.append("b")

    journal.import_items(listing, fingerprint=lambda: marks[-1])

    assert len(listed(path)) == 3
