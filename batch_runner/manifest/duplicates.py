"""Find items with the same key, id or file name among a million, in little memory.

Only an 8-byte hash of each key, id and name is kept. If two hashes are equal, the items are
expanded again, to name the two and to rule out a collision.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from batch_runner.manifest.diagnostics import Diagnostics, Location
from batch_runner.manifest.filenames import folded
from batch_runner.models import ItemSpec
from batch_runner.util.locale import tr


class DuplicateDetector:
    """Records the keys, ids and names of items, which must differ."""

    def __init__(self, *, requests: bool = True) -> None:
        self._requests = requests  # whether two items with the same request are an error
        self._keys, self._ids, self._names = array("q"), array("q"), array("q")

    def add(self, spec: ItemSpec) -> None:
        if self._requests:
            self._keys.append(hash(spec.key))
        self._ids.append(hash(spec.id))
        self._names.append(hash(folded(spec.name)))

    def report_repeated(
        self, again: Iterable[tuple[Location, ItemSpec]], diagnostics: Diagnostics
    ) -> None:
        """Report every item that equals an earlier one; `again` yields all items once more."""
        keys, ids, names = map(_repeated, (self._keys, self._ids, self._names))
        if not (keys or ids or names):
            return
        seen: tuple[dict[str, _Earlier | None], ...] = ({}, {}, {})  # by key, by id, by folded name
        for location, spec in again:
            texts = (spec.key, spec.id, folded(spec.name))
            for text, hashes, earlier, add in zip(
                texts, (keys, ids, names), seen, _REPORTS, strict=True
            ):
                if hash(text) not in hashes:
                    continue
                if text in earlier:
                    add(
                        location,
                        spec,
                        earlier[text] or _Earlier(location, spec.id, spec.name),
                        diagnostics,
                    )
                    break
                # Once `diagnostics` is full, further problems are only counted.
                earlier[text] = None if diagnostics.full else _Earlier(location, spec.id, spec.name)


class _Earlier(NamedTuple):
    """The first of several items with the same key, id or name."""

    location: Location
    id: str
    name: str


def _repeated(hashes: array[int]) -> set[int]:
    return {one for one, following in pairwise(sorted(hashes)) if one == following}


def _same_request(
    location: Location, spec: ItemSpec, other: _Earlier, diagnostics: Diagnostics
) -> None:
    diagnostics.add(
        location,
        tr(
            "this item would send the same request as {id} ({place})",
            id=other.id,
            place=other.location,
        ),
        item=spec.id,
        hint=tr("to generate the same prompt twice, write repeat: 2"),
    )


def _same_id(location: Location, spec: ItemSpec, other: _Earlier, diagnostics: Diagnostics) -> None:
    diagnostics.add(
        location,
        tr("the id {id} is already in use ({place})", id=spec.id, place=other.location),
        item=spec.id,
    )


def _same_name(
    location: Location, spec: ItemSpec, other: _Earlier, diagnostics: Diagnostics
) -> None:
    hint = tr("add a variable to output.name that differs between the two")
    if spec.name != other.name:
        hint = tr("many file systems ignore case and the Unicode form of accents in names")
    diagnostics.add(
        location,
        tr(
            "the file name {name} is already used by {id} ({place})",
            name=spec.name,
            id=other.id,
            place=other.location,
        ),
        item=spec.id,
        hint=hint,
    )


_REPORTS = (_same_request, _same_id, _same_name)
