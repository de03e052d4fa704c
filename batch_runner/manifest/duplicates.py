"""No two items alike: what a million identities, ids and names cost when only compared.

Eight bytes of each are kept, sorted into bins, and compared bin by bin at the end. Only when two of
them agree is the job gone through once more, to say which two items they are of; that also clears
up a chance agreement.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from batch_runner.manifest.diagnostics import Diagnostics, Location
from batch_runner.manifest.filenames import folded
from batch_runner.models import ItemSpec

#: Bins of hashes, a power of two: a set of one bin of a million items is 4,000 numbers.
_BINS = 256


class DuplicateDetector:
    """Notes what must differ between items."""

    def __init__(self, *, requests: bool = True) -> None:
        self._requests = requests  # whether two items that send the same are a mistake
        self._keys, self._ids, self._names = _bins(), _bins(), _bins()

    def note(self, spec: ItemSpec) -> None:
        """Remember one item."""
        if self._requests:
            number = hash(spec.key)
            self._keys[number % _BINS].append(number)
        number = hash(spec.id)
        self._ids[number % _BINS].append(number)
        number = hash(folded(spec.name))
        self._names[number % _BINS].append(number)

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


def _bins() -> list[array[int]]:
    return [array("q") for _ in range(_BINS)]


def _repeated(bins: list[array[int]]) -> set[int]:
    """Return the hashes that are there twice."""
    found: set[int] = set()
    for one in bins:
        if len(set(one)) < len(one):
            found |= {number for number, count in Counter(one).items() if count > 1}
    return found


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
