"""Find items by what a user types: an id, a key, or the name that `plan` shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from batch_runner.util.text import printable

if TYPE_CHECKING:
    from batch_runner.journal import ItemRow, JournalReader


def items_named(reader: JournalReader, items: Iterable[ItemRow], name: str) -> list[ItemRow]:
    """Return those of `items` with this id or key; if no item has it, those with this file name.

    An id or name that was shown cut off ("…") is found, too, and in any Unicode form.
    """
    among = list(items)
    exact = [item for item in among if name in (item.id, item.key)]
    if exact or not among or any(item.id == name for item in reader.items()):
        return exact
    wanted = _folded(name)
    return [item for item in among if wanted in _shown(item)]


def _shown(item: ItemRow) -> set[str]:
    texts = (item.id, item.name)
    return {_folded(text) for text in (*texts, *(printable(text, 60) for text in texts))}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text)
