"""Items that are to be submitted again in this run, without the user."""

from __future__ import annotations

from collections import deque

from batch_runner.journal.records import PendingItem


class RetryQueue:
    """Items that became pending in this run, which a page of the journal may contain as well.

    `announce` an item before the commit that makes it pending: until it is taken from here, nobody
    else may submit it.
    """

    def __init__(self) -> None:
        self._announced: set[str] = set()
        self._items: deque[PendingItem] = deque()

    def __contains__(self, key: str) -> bool:
        return key in self._announced

    def announce(self, key: str) -> None:
        """Keep an item, which is about to become pending, from being submitted by others."""
        self._announced.add(key)

    def add(self, item: PendingItem) -> None:
        """Add an item that was announced and is pending now."""
        self._items.append(item)

    def take(self) -> PendingItem | None:
        """Remove and return the next item, None if there is none now."""
        if not self._items:
            return None
        item = self._items.popleft()
        self._announced.discard(item.key)
        return item
