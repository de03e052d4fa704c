"""Find items by what a user types: an id, a key, or a name that a command shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from batch_runner.util.locale import tr
from batch_runner.util.text import printable

if TYPE_CHECKING:
    from batch_runner.journal import ItemRow, JournalReader

#: Characters of an id or name that commands show.
SHOWN = 60


def items_named(reader: JournalReader, items: Iterable[ItemRow], name: str) -> list[ItemRow]:
    """Return those of `items` with this id or key; if no item has it, those with this file name.

    An id or name that was shown cut off ("…") is found, too, and in any Unicode form.
    """
    among = list(items)
    exact = [item for item in among if name in (item.id, item.key)]
    if exact or not among or any(item.id == name for item in reader.items()):
        return exact
    return find_items(among, [name])[name]


def find_items(items: Iterable[ItemRow], names: Collection[str]) -> dict[str, list[ItemRow]]:
    """Return for each name the items with this id or key, else those with this file name."""
    exact: dict[str, list[ItemRow]] = {name: [] for name in names}
    shown: dict[str, list[ItemRow]] = {_folded(name): [] for name in names}
    for item in items:
        for text in {item.id, item.key} & exact.keys():
            exact[text].append(item)
        for text in _shown(item) & shown.keys():
            shown[text].append(item)
    return {name: found or shown[_folded(name)] for name, found in exact.items()}


def prefer_listed(items: list[ItemRow]) -> list[ItemRow]:
    """Return the items that the manifest lists, all if it lists none."""
    return [item for item in items if item.listed] or items


def ambiguous_text(name: str, items: Iterable[ItemRow]) -> str:
    """Return that a name means several items, with the key of each."""
    keys = (one.key if one.listed else tr("{key} (not listed)", key=one.key) for one in items)
    return tr(
        'several items have the name "{name}"; give the key of one: {keys}',
        name=printable(name, SHOWN),
        keys=tr(", ").join(keys),
    )


def _shown(item: ItemRow) -> set[str]:
    texts = (item.id, item.name)
    files = (file.name for file in item.files)
    shown = (printable(text, SHOWN) for text in texts)
    return {_folded(text) for text in (*texts, *shown, *files, f"#{item.row}")}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text)
