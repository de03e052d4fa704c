"""No two items alike: what a million identities, ids and names cost when only compared.

Eight bytes of each are kept, and sorted at the end. Only when two of them agree is the job gone
through once more, to say which two items they are of; that also clears up a chance agreement.
"""

from __future__ import annotations

import itertools
from array import array
from typing import TYPE_CHECKING

from batch_runner.manifest.names import folded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batch_runner.manifest.report import Place, Report
    from batch_runner.models import ItemSpec

_64_BITS = 2**64 - 1


class Unique:
    """Notes what must differ between items."""

    def __init__(self, *, requests: bool = True) -> None:
        self._requests = requests  # whether two items that send the same are a mistake
        self._keys = array("Q")
        self._ids = array("Q")
        self._names = array("Q")

    def note(self, spec: ItemSpec) -> None:
        """Remember one item."""
        if self._requests:
            self._keys.append(int(spec.key[:16], 16))
        self._ids.append(hash(spec.id) & _64_BITS)
        self._names.append(hash(folded(spec.name)) & _64_BITS)

    def report_repeated(self, again: Iterable[tuple[Place, ItemSpec]], report: Report) -> None:
        """Report every item that is like an earlier one; `again` is the job gone through anew."""
        keys, ids, names = map(_repeated, (self._keys, self._ids, self._names))
        if not (keys or ids or names):
            return
        first: dict[tuple[str, str], tuple[Place, ItemSpec]] = {}
        for place, spec in again:
            if int(spec.key[:16], 16) in keys:
                if other := first.get(("key", spec.key)):
                    _same_request(place, spec, other[1], report)
                    continue
                first["key", spec.key] = (place, spec)
            if hash(spec.id) & _64_BITS in ids:
                if other := first.get(("id", spec.id)):
                    _same_id(place, spec, other[0], report)
                    continue
                first["id", spec.id] = (place, spec)
            name = folded(spec.name)
            if hash(name) & _64_BITS in names:
                if other := first.get(("name", name)):
                    _same_name(place, spec, other, report)
                    continue
                first["name", name] = (place, spec)


def _repeated(hashes: array[int]) -> set[int]:
    ordered = sorted(hashes)
    return {one for one, following in itertools.pairwise(ordered) if one == following}


def _same_request(place: Place, spec: ItemSpec, other: ItemSpec, report: Report) -> None:
    report.add(
        place,
        f"this would send the same as {other.id} ({other.source})",
        item=spec.id,
        hint="for several tries of one prompt write repeat: 2",
    )


def _same_id(place: Place, spec: ItemSpec, other: Place, report: Report) -> None:
    report.add(place, f"the id {spec.id} is already in use ({other})", item=spec.id)


def _same_name(place: Place, spec: ItemSpec, other: tuple[Place, ItemSpec], report: Report) -> None:
    hint = "output.name needs a variable that tells them apart"
    if spec.name != other[1].name:
        hint = "on many disks capital letters and ways to write an accent make no difference"
    report.add(
        place,
        f"its file would be called {spec.name}, as that of {other[1].id} ({other[0]})",
        item=spec.id,
        hint=hint,
    )
