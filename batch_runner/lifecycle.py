"""An item's life: every status, every event, and the only table of legal moves.

Rule: whatever changes the status of an item goes through `advance`, and everything about which
move is legal stands in this file. The journal stores the values of these enums and nothing else.

::

    pending ──→ submitting ──→ submitted ──→ downloading ──→ done
       ↑            │              │              │
       ├── unsent ──┤              │              └──→ download_pending   paid; task id kept
       │            ├──→ held ─┐   └──→ failed      the service gave up (paid or not: unknown)
       │            │          └──→ dropped         the user gave up; counted as paid
       │            └──→ rejected                   the service said no; not paid
       └── the user, or `attempts`, allows another attempt

`submitting` is committed before the first byte of a submission leaves, and left only when its
outcome is committed. So a crash leaves at most the submissions on the wire in `submitting`; each
may have been paid, and recovery makes each of them `held`, for the user to decide.
"""

from __future__ import annotations

import functools
from enum import StrEnum

from batch_runner.errors import IllegalTransition


class ItemStatus(StrEnum):
    """Where an item stands."""

    PENDING = "pending"  #: waits for its create request
    SUBMITTING = "submitting"  #: its create may be on the wire
    SUBMITTED = "submitted"  #: paid; waits for the service to finish its task
    DOWNLOADING = "downloading"  #: the service has finished; the files are on their way
    DONE = "done"  #: every file verified and under its final name
    FAILED = "failed"  #: the service gave up on the task
    REJECTED = "rejected"  #: the service said no to the create; not paid
    HELD = "held"  #: a create left and its answer was never seen; waits for a person
    DOWNLOAD_PENDING = (
        "download_pending"  #: paid, its files could not be had; waits for the next run
    )
    DROPPED = "dropped"  #: given up by the user; counted as paid


#: Statuses between a create's start and the files' place: a task, or one that may be, is under way.
UNDERWAY = (ItemStatus.SUBMITTING, ItemStatus.SUBMITTED, ItemStatus.DOWNLOADING)

#: Statuses that a run ends in when it was stopped early, or when a task outlasted it.
UNFINISHED = (
    ItemStatus.PENDING,
    ItemStatus.SUBMITTING,
    ItemStatus.SUBMITTED,
    ItemStatus.DOWNLOADING,
)


class Event(StrEnum):
    """What can happen to an item. The value is stored in the journal."""

    LISTED = "listed"  # (new) -> pending
    UPLOAD_FAILED = "upload_failed"  # pending -> pending: an input file was not taken; next run
    UPLOAD_REJECTED = "upload_rejected"  # pending -> rejected: an input file; nothing was sent
    SUBMIT_STARTED = "submit_started"  # pending -> submitting
    SUBMIT_CONFIRMED = "submit_confirmed"  # submitting -> submitted
    SUBMIT_UNSENT = "submit_unsent"  # submitting -> pending: not accepted, for certain
    SUBMIT_REJECTED = "submit_rejected"  # submitting -> rejected
    SUBMIT_UNANSWERED = "submit_unanswered"  # submitting -> held
    SUBMIT_INTERRUPTED = "submit_interrupted"  # submitting -> held: found after a crash
    TASK_COMPLETED = "task_completed"  # submitted -> downloading
    TASK_FAILED = "task_failed"  # submitted or downloading -> failed
    TASK_UNKNOWN = (
        "task_unknown"  # submitted -> download_pending: unknown to the service for too long
    )
    DOWNLOAD_FAILED = "download_failed"  # downloading -> download_pending
    DOWNLOAD_INTERRUPTED = "download_interrupted"  # downloading -> submitted: found after a crash
    DOWNLOAD_RESUMED = "download_resumed"  # download_pending -> submitted: a later run tries again
    PLACED = "placed"  # downloading -> done
    FILE_MISSING = "file_missing"  # done -> download_pending: deleted or damaged since
    RETRIED = "retried"  # failed, rejected or dropped -> pending: may be paid again
    ATTACHED = "attached"  # held -> submitted: the task id was found
    CORRECTED = "corrected"  # submitted -> submitted: another task id was found
    # By a person, from held; or from submitted, where the task cannot be had.
    RESUBMITTED = "resubmitted"  # -> pending: it is accepted that it may be paid again
    DROPPED = "dropped"  # -> dropped: it is given up


_S, _E = ItemStatus, Event

TRANSITIONS: dict[ItemStatus, dict[Event, ItemStatus]] = {
    _S.PENDING: {
        _E.UPLOAD_FAILED: _S.PENDING,
        _E.UPLOAD_REJECTED: _S.REJECTED,
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
        _E.TASK_UNKNOWN: _S.DOWNLOAD_PENDING,
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
    _S.DONE: {_E.FILE_MISSING: _S.DOWNLOAD_PENDING},
    _S.FAILED: {_E.RETRIED: _S.PENDING},
    _S.REJECTED: {_E.RETRIED: _S.PENDING},
    _S.DROPPED: {_E.RETRIED: _S.PENDING},
    _S.HELD: {
        _E.ATTACHED: _S.SUBMITTED,
        _E.RESUBMITTED: _S.PENDING,
        _E.DROPPED: _S.DROPPED,
    },
}

#: The only moves back to a new create: each may cost money again.
PAYS_AGAIN = frozenset({Event.RETRIED, Event.RESUBMITTED})

#: What the start of a run does with an item that an earlier run left behind; None leaves it.
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

#: Statuses in which the money of the latest create must be assumed spent.
ASSUMED_PAID = frozenset(ItemStatus) - {_S.PENDING, _S.REJECTED}

#: The reason of an unfetched item whose task the service knows no more.
TASK_FORGOTTEN = "task-unknown"
#: The reasons of an unfetched item that was done: a file of it is not there, or not whole.
FILE_GONE, FILE_DAMAGED = "file-missing", "damaged"

#: Statuses that no run leaves by itself.
SETTLED = frozenset({_S.DONE, _S.FAILED, _S.REJECTED, _S.HELD, _S.DROPPED})


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
