"""The journal: the record of one job, in one SQLite file or in PostgreSQL.

One connection, owned by one thread (`group_commit`). Changes that wait together are committed
together, with `synchronous=FULL`: when `record` has been awaited, the change survives a power cut.
`journal_mode=TRUNCATE` keeps everything in one file, so that no second file can get lost and take
paid task ids with it.

`items` has the current status of each item, `events` its history; both are written in one
transaction. `lifecycle.TRANSITIONS` is the only source of legal moves: each statement names the
statuses that its event may leave, and an event that finds no such row raises and changes nothing.

After kill -9 at any moment, the next opening rolls back the transaction in progress.
"""

from batch_runner.journal.base import (
    Change,
    Imported,
    JobStore,
    OpenJournal,
    RunJournal,
    TaskIdTaken,
    held_instead,
)
from batch_runner.journal.item_import import ItemImport
from batch_runner.journal.places import journal_exists, open_journal, open_reader
from batch_runner.journal.reading import EventHistory, JournalReader, ManifestDiff
from batch_runner.journal.records import (
    EventRow,
    ItemRow,
    ItemSummary,
    JobRow,
    ListedItem,
    PaidSubmissions,
    PendingItem,
    RunRow,
)
from batch_runner.journal.sqlite.journal import Journal
from batch_runner.journal.sqlite.migrations import current_words

__all__ = [
    "Change",
    "EventHistory",
    "EventRow",
    "Imported",
    "ItemImport",
    "ItemRow",
    "ItemSummary",
    "JobRow",
    "JobStore",
    "Journal",
    "JournalReader",
    "ListedItem",
    "ManifestDiff",
    "OpenJournal",
    "PaidSubmissions",
    "PendingItem",
    "RunJournal",
    "RunRow",
    "TaskIdTaken",
    "current_words",
    "held_instead",
    "journal_exists",
    "open_journal",
    "open_reader",
]
