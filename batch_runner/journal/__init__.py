"""The journal: one SQLite file a job, and the only place that speaks SQL.

Theory of operation
    One connection, owned by one thread (`commit.GroupCommit`). Changes that wait together are
    committed together, with `synchronous=FULL`: when `Journal.record` has been awaited, the change
    survives a power cut. `journal_mode=TRUNCATE` keeps everything in one file, so there is no
    second file whose loss would forget what was paid.

    `items` holds where each item stands, `events` how it came there; both are written in one
    transaction. `lifecycle.TRANSITIONS` is the only source of legal moves: each statement names the
    statuses its event may leave, and an event that finds no such row raises and changes nothing.

    kill -9 at any moment: the transaction in progress is rolled back by the next opening.
"""

from batch_runner.journal.records import EventRow, ItemRow, RunRow
from batch_runner.journal.sqlite.diff import ItemSummary, ManifestDiff
from batch_runner.journal.sqlite.item_import import ItemImport
from batch_runner.journal.sqlite.journal import Imported, Journal, Recovered
from batch_runner.journal.sqlite.migrations import current_words
from batch_runner.journal.sqlite.reader import JobRow, JournalReader
from batch_runner.journal.sqlite.transitions import Change

__all__ = [
    "Change",
    "EventRow",
    "Imported",
    "ItemImport",
    "ItemRow",
    "ItemSummary",
    "JobRow",
    "Journal",
    "JournalReader",
    "ManifestDiff",
    "Recovered",
    "RunRow",
    "current_words",
]
