"""Select some of a job's items, for a cheap first look before the whole list is paid for."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from batch_runner.engine.selection import SelectedItems
from batch_runner.errors import UsageError
from batch_runner.manifest.diagnostics import did_you_mean
from batch_runner.manifest.filenames import without_ending
from batch_runner.util.locale import tr
from batch_runner.util.text import printable

#: Characters of an id or name that commands show.
SHOWN = 60
#: Items whose ids are compared with an unknown one, for the hint.
_COMPARED = 10_000


class Named(Protocol):
    """An item of a manifest or of a journal."""

    @property
    def position(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which items of the manifest a run may submit; the others stay pending.

    `only` has ids, keys, file names or patterns (`*`, `?`, `[…]`) of ids and file names; an item
    needs to match one of them, () selects all. Of these, `first` are the first in the manifest, or
    `sample` as many that `seed` draws: always the same ones, and a larger sample contains a smaller
    one.

    Raises:
        UsageError: both `first` and `sample` are given, or one is less than 1.
    """

    only: tuple[str, ...] = ()
    first: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.first is not None and self.sample is not None:
            raise UsageError(tr("--first and --sample cannot be combined; use one of them"))
        for name, count in (("--first", self.first), ("--sample", self.sample)):
            if count is not None and count < 1:
                message = tr("{option} needs a number of at least 1", option=name)
                raise UsageError(message)


def select_items(
    selection: Selection | None, items: Callable[[], Iterable[Named]], *, in_order: bool = False
) -> SelectedItems | None:
    """Return the selected of `items`, which is called once or twice; None: there is no selection.

    `in_order`: the items come in the order of their positions, so not all may be needed.

    Raises:
        UsageError: no item has a name in `only`.
    """
    if selection is None or selection == Selection():
        return None
    found: Iterator[tuple[int, str]]
    if selection.only:
        found = iter(_named(selection.only, items))
    else:
        found = ((item.position, item.key) for item in items())
    if selection.sample is not None:
        ranked = ((_rank(selection.seed, key), position) for position, key in found)
        return SelectedItems([one[1] for one in heapq.nsmallest(selection.sample, ranked)])
    positions = (position for position, _ in found)
    if selection.first is not None and in_order and not selection.only:
        return SelectedItems([*itertools.islice(positions, selection.first)])
    if selection.first is not None:
        return SelectedItems(heapq.nsmallest(selection.first, positions))
    return SelectedItems([*positions])


def _rank(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def _named(only: Iterable[str], items: Callable[[], Iterable[Named]]) -> set[tuple[int, str]]:
    """Return position and key of the items that one of `only` names.

    An id or key that a text equals comes before names, and these before patterns.
    """
    names = dict.fromkeys(only)
    exact: dict[str, set[tuple[int, str]]] = {name: set() for name in names}
    shown: dict[str, set[tuple[int, str]]] = {_file(name): set() for name in names}
    patterns: dict[str, set[tuple[int, str]]] = {
        _folded(name): set() for name in names if any(sign in name for sign in "*?[")
    }
    for item in items():
        found = (item.position, item.key)
        for text in {item.id, item.key} & exact.keys():
            exact[text].add(found)
        texts = {_folded(item.id), _folded(item.name)}
        for text in {*texts, *(printable(one, SHOWN) for one in texts)} & shown.keys():
            shown[text].add(found)
        for pattern, matches in patterns.items():
            if any(fnmatchcase(text, pattern) for text in texts):
                matches.add(found)
    union: set[tuple[int, str]] = set()
    for name in names:
        matches = exact[name] or shown[_file(name)] or patterns.get(_folded(name), set())
        if not matches:
            raise UsageError(_unknown(name, items()))
        union |= matches
    return union


def _unknown(name: str, items: Iterable[Named]) -> str:
    known = [text for one in itertools.islice(items, _COMPARED) for text in (one.id, one.name)]
    hint = did_you_mean(name, known, otherwise=tr("`batch-runner plan` shows the first ids"))
    text = tr('--only: no item has the id or file name "{name}"', name=printable(name, SHOWN))
    return f"{text}; {hint}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _file(name: str) -> str:
    """Return a name that may be that of a file, as names of items are."""
    return without_ending(_folded(name))
