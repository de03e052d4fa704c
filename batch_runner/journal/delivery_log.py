"""Which ends of items the command of `on_item` has been called for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from batch_runner.journal.records import ItemRow


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedItem:
    """An item in a status that no run leaves by itself; `event` is the number of its event."""

    event: int
    at: float  # wall clock
    item: ItemRow


class DeliveryLog(Protocol):
    """The calls of a run that delivers ended items; see `RunJournal` for their futures.

    What is not recorded as delivered is found again by the next run.
    """

    def start_deliveries(self) -> asyncio.Future[int]:
        """Return the number of the event after which ended items are to be delivered.

        The first call in the life of the job sets it to the last event: what ended before is not
        delivered. See `JournalReader.committed_up_to` for events that other hosts are committing.
        """
        ...

    def ended_items(self, after: int, limit: int) -> asyncio.Future[list[EndedItem]]:
        """Read up to `limit` items that an event beyond `after` ended, in the order of the events.

        Without those that are delivered, or have left that status again. Those beyond an event that
        another host is committing come later.
        """
        ...

    def undelivered(self, after: int) -> asyncio.Future[dict[str, int]]:
        """Count the items that `ended_items` without a limit would return, by status."""
        ...

    def record_delivery(
        self, event: int, exit_status: int | None, *, up_to: int
    ) -> asyncio.Future[None]:
        """Record that the command for this event has ended; None: it had to be stopped.

        All events up to number `up_to` are delivered, or not to be delivered.
        """
        ...
