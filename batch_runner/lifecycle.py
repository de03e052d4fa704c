"""The life of an item: its statuses, its events, and the only table of legal moves.

Every change of a status is a move of `TRANSITIONS`. The journal stores the values of these enums.

::

    pending ──→ submitting ──→ submitted ──→ downloading ──→ done
       ↑            │              │              │
       ├── unsent ──┤              ├──────────────┼──→ failed            the task failed
       │            │              └──────────────┴──→ download_pending  paid; no files yet
       │            ├──→ rejected           the service said no; not paid
       │            └──→ held ──→ dropped   the user gave up; counts as paid
       └── the user, or `attempts`, allows another attempt

An item that another job of this user has submitted is not submitted again: from `pending` it goes
to the status that it has there (`done` with copies of its files), or is held.

`submitting` is committed before the first byte of a submission leaves, and left only when its
outcome is committed. A crash therefore leaves at most the submissions on the wire in `submitting`;
each may have been paid, so recovery makes it `held`. Where the
service knows the submission by its request id, a run settles what became of it
(`engine.settling`); otherwise the user decides.
"""

from __future__ import annotations

import functools
from enum import StrEnum

from batch_runner.errors import IllegalTransition


class ItemStatus(StrEnum):
    """Where an item stands."""

    PENDING = "pending"  #: to be submitted
    SUBMITTING = "submitting"  #: its submission may be on the wire
    SUBMITTED = "submitted"  #: paid; the service has not finished its task
    DOWNLOADING = "downloading"  #: its task is completed; its files are being downloaded
    DONE = "done"  #: every file is verified and under its final name
    FAILED = "failed"  #: the service failed or canceled the task; whether it is paid is unknown
    REJECTED = "rejected"  #: the service said no; not paid
    HELD = "held"  #: a submission got no answer and may have been paid; the user decides
    DOWNLOAD_PENDING = "download_pending"  #: paid, without its files; every run tries again
    DROPPED = "dropped"  #: given up by the user; counts as paid


#: Statuses between the start of a submission and the placed files: there is, or may be, a task.
UNDERWAY = (ItemStatus.SUBMITTING, ItemStatus.SUBMITTED, ItemStatus.DOWNLOADING)

#: Statuses in which a run leaves items when it is stopped early, or when a task outlasts it.
UNFINISHED = (
    ItemStatus.PENDING,
    ItemStatus.SUBMITTING,
    ItemStatus.SUBMITTED,
    ItemStatus.DOWNLOADING,
)


class Event(StrEnum):
    """What can happen to an item."""

    LISTED = "listed"  # (new) -> pending
    UPLOAD_FAILED = "upload_failed"  # pending -> pending: an input file was not uploaded
    UPLOAD_REJECTED = "upload_rejected"  # pending -> rejected: an input file was rejected
    # Another job has submitted the item.
    REUSED = "reused"  # pending or held -> done: its files were copied
    TASK_REUSED = "task_reused"  # pending -> submitted: its task is downloaded again
    FAILED_BEFORE = "failed_before"  # pending -> failed
    PAID_BEFORE = "paid_before"  # pending or submitted -> held: its result cannot be had
    UNFINISHED_ELSEWHERE = "unfinished_elsewhere"  # pending -> pending: that job has not finished
    SUBMIT_STARTED = "submit_started"  # pending -> submitting
    SUBMIT_CONFIRMED = "submit_confirmed"  # submitting -> submitted
    SUBMIT_UNSENT = "submit_unsent"  # submitting -> pending: not accepted, for certain
    SUBMIT_REJECTED = "submit_rejected"  # submitting -> rejected
    SUBMIT_UNANSWERED = "submit_unanswered"  # submitting -> held
    SUBMIT_INTERRUPTED = "submit_interrupted"  # submitting -> held: found after a crash
    # What became of a held submission, by its request id; `attached` is one of them.
    SUBMIT_REPEATED = "submit_repeated"  # held -> submitting: the same request with the same id
    NOT_SUBMITTED = "not_submitted"  # held -> pending: the service has never accepted it
    NOT_SETTLED = "not_settled"  # held -> held: it stays unknown, for another reason than before
    TASK_COMPLETED = "task_completed"  # submitted -> downloading
    TASK_FAILED = "task_failed"  # submitted or downloading -> failed
    TASK_LOST = "task_lost"  # submitted -> pending: the service has lost it, and it was free
    TASK_UNKNOWN = "task_unknown"  # submitted -> download_pending: unknown to the service
    DOWNLOAD_FAILED = "download_failed"  # downloading -> download_pending
    DOWNLOAD_INTERRUPTED = "download_interrupted"  # downloading -> submitted: found after a crash
    DOWNLOAD_RESUMED = "download_resumed"  # download_pending -> submitted: a later run tries again
    PLACED = "placed"  # downloading -> done
    FILE_MISSING = "file_missing"  # done -> download_pending: deleted or damaged since
    RETRIED = "retried"  # failed, rejected or dropped -> pending: may be paid again
    ATTACHED = "attached"  # held -> submitted: the task id was found
    TASK_FOUND = "task_found"  # changes no status: one more task id that may be paid
    CORRECTED = "corrected"  # submitted -> submitted: another task id was found
    # By the user, from held; or from submitted, when the task cannot be downloaded.
    RESUBMITTED = "resubmitted"  # -> pending: may be paid again, as the user accepts
    DROPPED = "dropped"  # -> dropped
    REOPENED = "reopened"  # done -> held: the user found that its files are not of this item


_S, _E = ItemStatus, Event

TRANSITIONS: dict[ItemStatus, dict[Event, ItemStatus]] = {
    _S.PENDING: {
        _E.UPLOAD_FAILED: _S.PENDING,
        _E.UPLOAD_REJECTED: _S.REJECTED,
        _E.REUSED: _S.DONE,
        _E.TASK_REUSED: _S.SUBMITTED,
        _E.FAILED_BEFORE: _S.FAILED,
        _E.PAID_BEFORE: _S.HELD,
        _E.UNFINISHED_ELSEWHERE: _S.PENDING,
        _E.SUBMIT_STARTED: _S.SUBMITTING,
    },
    _S.SUBMITTING: {
        _E.SUBMIT_CONFIRMED: _S.SUBMITTED,
        _E.SUBMIT_UNSENT: _S.PENDING,
        _E.SUBMIT_REJECTED: _S.REJECTED,
        _E.SUBMIT_UNANSWERED: _S.HELD,
        _E.SUBMIT_INTERRUPTED: _S.HELD,
    },
    _S.SUBMITTED: {
        _E.TASK_COMPLETED: _S.DOWNLOADING,
        _E.TASK_FAILED: _S.FAILED,
        _E.TASK_LOST: _S.PENDING,
        _E.TASK_UNKNOWN: _S.DOWNLOAD_PENDING,
        _E.PAID_BEFORE: _S.HELD,
        _E.CORRECTED: _S.SUBMITTED,
        _E.RESUBMITTED: _S.PENDING,
        _E.DROPPED: _S.DROPPED,
    },
    _S.DOWNLOADING: {
        _E.PLACED: _S.DONE,
        _E.TASK_FAILED: _S.FAILED,
        _E.DOWNLOAD_FAILED: _S.DOWNLOAD_PENDING,
        _E.DOWNLOAD_INTERRUPTED: _S.SUBMITTED,
    },
    _S.DOWNLOAD_PENDING: {_E.DOWNLOAD_RESUMED: _S.SUBMITTED},
    _S.DONE: {_E.FILE_MISSING: _S.DOWNLOAD_PENDING, _E.REOPENED: _S.HELD},
    _S.FAILED: {_E.RETRIED: _S.PENDING},
    _S.REJECTED: {_E.RETRIED: _S.PENDING},
    _S.DROPPED: {_E.RETRIED: _S.PENDING},
    _S.HELD: {
        _E.REUSED: _S.DONE,
        _E.ATTACHED: _S.SUBMITTED,
        _E.SUBMIT_REPEATED: _S.SUBMITTING,
        _E.NOT_SUBMITTED: _S.PENDING,
        _E.NOT_SETTLED: _S.HELD,
        _E.RESUBMITTED: _S.PENDING,
        _E.DROPPED: _S.DROPPED,
    },
}

#: The only events that lead to a new submission of what may have been paid.
PAYS_AGAIN = frozenset({Event.RETRIED, Event.RESUBMITTED})

#: The outcomes of a submission that are certainly not paid.
NOT_ACCEPTED = frozenset({Event.SUBMIT_UNSENT, Event.SUBMIT_REJECTED})

#: The events that show that a submission has cost nothing after all.
UNPAID = NOT_ACCEPTED | {Event.NOT_SUBMITTED, Event.TASK_LOST}

#: What the start of a run does to an item that an earlier run left in a status; None: nothing.
RECOVERY: dict[ItemStatus, Event | None] = {
    _S.PENDING: None,
    _S.SUBMITTING: _E.SUBMIT_INTERRUPTED,
    _S.SUBMITTED: None,
    _S.DOWNLOADING: _E.DOWNLOAD_INTERRUPTED,
    _S.DOWNLOAD_PENDING: _E.DOWNLOAD_RESUMED,
    _S.DONE: None,
    _S.FAILED: None,
    _S.REJECTED: None,
    _S.DROPPED: None,
    _S.HELD: None,
}

#: Statuses in which the latest submission must be assumed paid.
ASSUMED_PAID = frozenset(ItemStatus) - {_S.PENDING, _S.REJECTED}

#: The reasons of items that another job has submitted: held, because its result cannot be had;
#: failed there; pending, because it is not finished there.
PAID_BEFORE, FAILED_BEFORE = "paid-before", "failed-before"
UNFINISHED_ELSEWHERE = "unfinished-elsewhere"

#: The reason of a held item whose task id belongs to another item: its request id settles nothing.
DUPLICATE_TASK_ID = "duplicate-task-id"
#: The reason of a download_pending item whose task is unknown to the service.
TASK_UNKNOWN = "task-unknown"
#: The reasons of a download_pending item that was done: a file is missing, or damaged.
FILE_MISSING, FILE_DAMAGED = "file-missing", "damaged"

#: Statuses that no run leaves by itself, unless a held submission can be settled.
FINAL = frozenset({_S.DONE, _S.FAILED, _S.REJECTED, _S.HELD, _S.DROPPED})


def advance(status: ItemStatus, event: Event) -> ItemStatus:
    """Return the status that `event` leads to from `status`.

    Raises:
        IllegalTransition: the table has no such move.
    """
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise IllegalTransition(f"no move from {status.value} by {event.value}") from None


@functools.cache
def sources(event: Event) -> tuple[ItemStatus, ...]:
    """Return the statuses that `event` may leave."""
    return tuple(status for status, moves in TRANSITIONS.items() if event in moves)
