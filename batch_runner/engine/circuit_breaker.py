"""When a service in trouble is left alone: decided from the outcomes of creates, without I/O.

Each create that gets no clear answer may have been paid and waits for a person, so a service that
has just begun to answer 500 must not be sent a whole list. If it has worked before in this run, it
is given time, longer each time, and one create to show itself; if it has not, or keeps failing,
creating stops. Creates that were on the wire when it began to fail say nothing new of it. Creating
stops as well when what is paid for comes to nothing: when one task after the other fails, or none
of the files can be had.
"""

from __future__ import annotations

import math

#: Creates in a row without a clear answer before creating pauses, or stops.
UNANSWERED_IN_A_ROW = 5
#: Refusals in a row before the service is taken to refuse everything.
REFUSED_IN_A_ROW = 25
#: Items in a row whose input files the service does not take.
NOT_UPLOADED_IN_A_ROW = 5
#: Tasks in a row that failed, or whose files could not be had, before no more are paid for; more
#: when more may be in flight, since those that fail quickly come to light before those that do not.
FRUITLESS_IN_A_ROW = 25
#: Pauses in seconds before the next single try.
PAUSES = (10.0, 30.0, 90.0, 270.0)


class Breaker:
    """Counts outcomes of creates in a row."""

    def __init__(self, in_flight: int = 0) -> None:
        """`in_flight` is how many tasks may be submitted and not finished."""
        self._fruitless = max(FRUITLESS_IN_A_ROW, in_flight)
        self._worked = False
        self._unanswered = 0
        self._unanswered_at = -math.inf  # when that was counted last
        self._refused = 0
        self._not_uploaded = 0
        self._failed = 0
        self._unfetched = 0

    def accepted(self) -> None:
        """Note a create that was taken."""
        self._worked = True
        self._unanswered = self._refused = 0

    def unanswered(self, *, sent: float, now: float) -> None:
        """Note a create whose answer was lost or said nothing; both moments of one clock."""
        if self._unanswered < UNANSWERED_IN_A_ROW or sent >= self._unanswered_at:
            self._unanswered += 1
            self._unanswered_at = now

    def refused(self) -> None:
        """Note a create that was refused."""
        self._refused += 1
        self._unanswered = 0

    def uploaded(self) -> None:
        """Note an input file that was taken."""
        self._not_uploaded = 0

    def upload_failed(self) -> None:
        """Note an item whose input file was not taken, however often it was sent."""
        self._not_uploaded += 1

    def failed(self) -> None:
        """Note a task that the service gave up."""
        self._failed += 1

    def unfetched(self) -> None:
        """Note a finished task whose files could not be had."""
        self._unfetched += 1

    def fetched(self) -> None:
        """Note a task whose files are on the disk."""
        self._failed = self._unfetched = 0

    @property
    def tripped(self) -> str | None:
        """Return why creating must stop, None: it need not."""
        if self._refused >= REFUSED_IN_A_ROW:
            return f"the service refused {self._refused} creates in a row"
        if self._not_uploaded >= NOT_UPLOADED_IN_A_ROW:
            return f"the input files of {self._not_uploaded} items in a row were not taken"
        most = UNANSWERED_IN_A_ROW + (len(PAUSES) if self._worked else 0)
        if self._unanswered >= most:
            return f"{self._unanswered} creates in a row got no clear answer"
        if self._failed >= self._fruitless:
            return f"{self._failed} tasks failed in a row"
        if self._unfetched >= self._fruitless:
            return f"the files of {self._unfetched} tasks in a row could not be fetched"
        return None

    @property
    def pause(self) -> float:
        """Return the seconds to wait before the next create, which must be the only one; or 0."""
        beyond = self._unanswered - UNANSWERED_IN_A_ROW
        return PAUSES[min(beyond, len(PAUSES) - 1)] if beyond >= 0 else 0.0
