"""Find items with the same key, id or file name among a million, in little memory.

Repeats of an item have different keys, but send equal requests if no template uses `n` or `seed()`:
these are counted, and not refused.

Only an 8-byte hash of each key, id and name is kept. If two hashes are equal, the items are
expanded again, to name the two and to rule out a collision.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from batch_runner.errors import Problem
from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.filenames import folded
from batch_runner.models import ItemSpec
from batch_runner.util.locale import tr, tr_n


class DuplicateDetector:
    """Records the keys, ids and names of items, which must differ."""

    def __init__(self, *, requests: bool = True) -> None:
        self._requests = requests  # whether two items with the same request are an error
        self._keys, self._ids, self._names = array("q"), array("q"), array("q")
        self._repeats = array("q")  # of items after the first of a `repeat`: their requests

    def add(self, spec: ItemSpec, request: str) -> None:
        """Record an item; `request` is the key of its request, whatever its repeat number."""
        if self._requests:
            self._keys.append(hash(spec.key))
            if request != spec.key:
                self._repeats.append(hash(request))
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

    def find_equal_requests(
        self, again: Iterable[tuple[Location, ItemSpec, str]]
    ) -> EqualRequests | None:
        """Return how many items send a request that another one sends, too; None: no item does.

        `again` yields all items once more; it is read up to the first two of them.
        """
        if not self._repeats:
            return None
        # The other keys are those of items 2, 3 … of a `repeat`, which no request equals.
        hashes = sorted([*self._keys, *self._repeats])
        equal = {one for one, following in pairwise(hashes) if one == following}
        if not equal:
            return None
        count = sum(one in equal for one in hashes)
        first: dict[str, str] = {}
        for location, spec, request in again:
            if hash(request) in equal:
                if request in first:
                    return EqualRequests(count, first[request], spec.id, location)
                first[request] = spec.id
        return None


class EqualRequests(NamedTuple):
    """`items` items send a request that another item sends, too; such as these two."""

    items: int
    one: str  # ids
    other: str
    location: Location  # of the other

    def problem(self) -> Problem:
        """Return the warning."""
        location = self.location
        return Problem(
            path=location.path,
            line=location.line,
            column=location.column,
            message=tr(
                "{count} items would send the same request as another one, for example {one} and "
                "{other}: each is paid for, and their pictures may be equal",
                count=self.items,
                one=excerpt(self.one),
                other=excerpt(self.other),
            ),
            hint=tr(
                'give each its own seed in params, such as seed: "{{ seed() }}", or use {{ n }}; '
                "or lower repeat"
            ),
        )


class SkippedDuplicates(NamedTuple):
    """Items that were left out because an earlier item sends the same request."""

    items: int
    first: Location
    id: str  # of the first

    def problem(self) -> Problem:
        """Return the warning."""
        return Problem(
            path=self.first.path,
            line=self.first.line,
            column=self.first.column,
            message=tr_n(
                "{count} item was skipped, because an earlier one sends the same request: {id}",
                "{count} items were skipped, because earlier ones send the same requests, such as "
                "{id}",
                self.items,
                id=excerpt(self.id),
            ),
        )


class Duplicates(NamedTuple):
    """What the items of a manifest have in common, as far as it is no error; None: nothing."""

    skipped: SkippedDuplicates | None = None
    equal_requests: EqualRequests | None = None

    def to_text(self) -> str:
        """Return it as JSON, for a journal."""
        return json.dumps(self)

    @classmethod
    def from_text(cls, text: str) -> Duplicates:
        """Return it from the JSON in a journal."""
        skipped, equal = json.loads(text)
        return cls(
            skipped and SkippedDuplicates(skipped[0], Location(*skipped[1]), skipped[2]),
            equal and EqualRequests(equal[0], equal[1], equal[2], Location(*equal[3])),
        )


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
        hint=tr(
            "remove one; for several pictures of one prompt write repeat: 2, and in params a seed "
            'that differs, such as seed: "{{ seed() }}"; or leave such items out: '
            "on_duplicate: skip"
        ),
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
