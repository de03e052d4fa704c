"""Decide from outcomes when to stop submitting to a failing service; no I/O.

Each submission without a clear answer may have been paid and is held for the user, so a service
that begins to answer 500 must not be sent a whole job. If it has worked before in this run,
submitting pauses, longer each time, and one submission tries whether it works again. If it has not,
or keeps failing, submitting stops. Submissions that had been sent when it began to fail count as
one failure.

Submitting also stops when paid submissions yield no files: when one task after the other fails, or
no result can be downloaded.
"""

from __future__ import annotations

import math

#: Submissions in a row without a clear answer before submitting pauses, or stops.
UNANSWERED_IN_A_ROW = 5
#: Rejected submissions in a row before the service is assumed to reject everything.
REJECTED_IN_A_ROW = 25
#: Items in a row whose input files cannot be uploaded.
UPLOADS_FAILED_IN_A_ROW = 5
#: Tasks in a row that failed, or whose files could not be downloaded, before no more are paid for.
#: At least as many as may be in flight: tasks that fail quickly are known before those that do not.
LOST_IN_A_ROW = 25
#: Pauses in seconds before the next single submission.
PAUSES = (10.0, 30.0, 90.0, 270.0)


class CircuitBreaker:
    """Counts outcomes in a row."""

    def __init__(self, in_flight: int = 0) -> None:
        """`in_flight` is how many tasks may be submitted and not finished."""
        self._lost_in_a_row = max(LOST_IN_A_ROW, in_flight)
        self._worked = False
        self._unanswered = 0
        self._unanswered_at = -math.inf  # when the last one was counted
        self._rejected = 0
        self._uploads_failed = 0
        self._tasks_failed = 0
        self._downloads_failed = 0

    def accepted(self) -> None:
        """Record an accepted submission."""
        self._worked = True
        self._unanswered = self._rejected = 0

    def unanswered(self, *, sent_at: float, now: float) -> None:
        """Record a submission without a clear answer; both times are of one clock."""
        if self._unanswered < UNANSWERED_IN_A_ROW or sent_at >= self._unanswered_at:
            self._unanswered += 1
            self._unanswered_at = now

    def rejected(self) -> None:
        """Record a rejected submission or input file."""
        self._rejected += 1
        self._unanswered = 0

    def upload_accepted(self) -> None:
        """Record an uploaded input file."""
        self._uploads_failed = 0

    def upload_failed(self) -> None:
        """Record an item whose input file could not be read or uploaded in any try."""
        self._uploads_failed += 1

    def task_failed(self) -> None:
        """Record a task that the service failed or canceled."""
        self._tasks_failed += 1

    def download_failed(self) -> None:
        """Record a completed task whose files could not be downloaded."""
        self._downloads_failed += 1

    def downloaded(self) -> None:
        """Record a task whose files are stored."""
        self._tasks_failed = self._downloads_failed = 0

    @property
    def tripped(self) -> str | None:
        """Return why submitting must stop, None if it need not."""
        if self._rejected >= REJECTED_IN_A_ROW:
            return f"the service rejected {self._rejected} submissions in a row"
        if self._uploads_failed >= UPLOADS_FAILED_IN_A_ROW:
            return f"the input files of {self._uploads_failed} items in a row were not uploaded"
        most = UNANSWERED_IN_A_ROW + (len(PAUSES) if self._worked else 0)
        if self._unanswered >= most:
            return f"{self._unanswered} submissions in a row got no clear answer"
        if self._tasks_failed >= self._lost_in_a_row:
            return f"{self._tasks_failed} tasks failed in a row"
        if self._downloads_failed >= self._lost_in_a_row:
            return f"the files of {self._downloads_failed} tasks in a row could not be downloaded"
        return None

    @property
    def pause(self) -> float:
        """Return the seconds before the next submission, which must be the only one; or 0."""
        beyond = self._unanswered - UNANSWERED_IN_A_ROW
        return PAUSES[min(beyond, len(PAUSES) - 1)] if beyond >= 0 else 0.0
