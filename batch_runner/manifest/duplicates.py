"""Find items with the same key, id or file name among a million, in little memory.

Only an 8-byte hash of each key, id and name is kept. When two hashes are equal, the items are made
once more to name the two and to rule out a collision.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from batch_runner.manifest.diagnostics import Diagnostics, Location
from batch_runner.manifest.filenames import folded
from batch_runner.models import ItemSpec


class DuplicateDetector:
    """Records what must differ between items."""

    def __init__(self, *, requests: bool = True) -> None:
        self._requests = requests  # whether two items with the same request are an error
        self._keys, self._ids, self._names = array("q"), array("q"), array("q")

    def add(self, spec: ItemSpec) -> None:
        if self._requests:
            self._keys.append(hash(spec.key))
        self._ids.append(hash(spec.id))
        self._names.append(hash(folded(spec.name)))

    def report_repeated(
        self, again: Iterable[tuple[Location, ItemSpec]], report: Diagnostics
    ) -> None:
        """Report every item that is like an earlier one; `again` is the job gone through anew."""
        keys, ids, names = map(_repeated, (self._keys, self._ids, self._names))
        if not (keys or ids or names):
            return
        met: tuple[dict[str, _Met | None], ...] = ({}, {}, {})  # by key, by id, by folded name
        for place, spec in again:
            texts = (spec.key, spec.id, folded(spec.name))
            for text, hashes, earlier, say in zip(
                texts, (keys, ids, names), met, _SAY, strict=True
            ):
                if hash(text) not in hashes:
                    continue
                if text in earlier:
                    say(place, spec, earlier[text] or _Met(place, spec.id, spec.name), report)
                    break
                # What comes when the report is full is only counted.
                earlier[text] = None if report.full else _Met(place, spec.id, spec.name)


class _Met(NamedTuple):
    """The first of several items that are alike."""

    place: Location
    id: str
    name: str


def _repeated(hashes: array[int]) -> set[int]:
    return {one for one, following in pairwise(sorted(hashes)) if one == following}


def _same_request(place: Location, spec: ItemSpec, other: _Met, report: Diagnostics) -> None:
    report.add(
        place,
        f"this would send the same as {other.id} ({other.place})",
        item=spec.id,
        hint="for several tries of one prompt write repeat: 2",
    )


def _same_id(place: Location, spec: ItemSpec, other: _Met, report: Diagnostics) -> None:
    report.add(place, f"the id {spec.id} is already in use ({other.place})", item=spec.id)


def _same_name(place: Location, spec: ItemSpec, other: _Met, report: Diagnostics) -> None:
    hint = "output.name needs a variable that tells them apart"
    if spec.name != other.name:
        hint = "on many disks capital letters and ways to write an accent make no difference"
    report.add(
        place,
        f"its file would be called {spec.name}, as that of {other.id} ({other.place})",
        item=spec.id,
        hint=hint,
    )


_SAY = (_same_request, _same_id, _same_name)
