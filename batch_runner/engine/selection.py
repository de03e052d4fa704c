"""The items that a run may submit, if the user has selected some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from batch_runner.journal.base import JobStore
from batch_runner.lifecycle import ItemStatus


class SelectedItems:
    """Positions of items in the manifest; a million take a megabyte."""

    def __init__(self, positions: Collection[int]) -> None:
        self._marks = bytearray(max(positions, default=-1) + 1)
        for position in positions:
            self._marks[position] = 1

    def __len__(self) -> int:
        return self._marks.count(1)

    def __contains__(self, position: int) -> bool:
        return position < len(self._marks) and self._marks[position] == 1

    def next(self, after: int) -> int | None:
        """Return the first position beyond `after`, None if there is none."""
        found = self._marks.find(1, after + 1)
        return None if found < 0 else found


def is_selected(position: int, selected: SelectedItems | None) -> bool:
    """Return whether an item may be submitted; None stands for all."""
    return selected is None or position in selected


def count_selected(journal: JobStore, selected: SelectedItems | None) -> dict[ItemStatus, int]:
    """Return the number of selected items by status; None stands for all that are listed."""
    counts = Counter(
        item.status for item in journal.listed() if is_selected(item.position, selected)
    )
    return {status: counts[status] for status in ItemStatus}
