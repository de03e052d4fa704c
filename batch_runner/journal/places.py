"""Where the journal of a job is: in its folder, or in PostgreSQL if the job is a cluster job.

The folder of a cluster job has the file `cluster.json` where other jobs have their journal. It
names the schema that has the journal: `{"schema": "job_…"}`. Nothing of PostgreSQL is imported
before a job with this file is opened.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_runner.errors import JournalError, JournalUnreadable, UsageError
from batch_runner.journal.cluster_dsn import FILE_VARIABLE, VARIABLE, cluster_dsn
from batch_runner.journal.reading import JournalReader
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.journal.sqlite import reader as sqlite_reader
from batch_runner.journal.sqlite.journal import Journal
from batch_runner.journal.sqlite.migrations import SCHEMA_VERSION
from batch_runner.util.locale import tr


def schema_of(path: Path) -> str | None:
    """Return the schema with the journal of the job whose journal would be at `path`.

    None: the job is no cluster job.

    Raises:
        JournalUnreadable: the file that names the schema is damaged.
    """
    file = path.with_name("cluster.json")
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalUnreadable(
            tr("{path} cannot be read: {error}", path=file, error=error.strerror or error)
        ) from error
    try:
        return str(json.loads(text)["schema"])
    except (ValueError, KeyError, TypeError):
        raise JournalUnreadable(
            tr(
                "{path} is damaged, so the database of this job is not known; restore this file",
                path=file,
            )
        ) from None


def journal_exists(path: Path) -> bool:
    """Return whether there is a journal; a first commit that was killed leaves an empty file.

    A damaged journal exists, and so does one whose database is not asked.
    """
    return path.with_name("cluster.json").exists() or sqlite_reader.journal_exists(path)


def open_reader(path: Path, *, oldest: int = SCHEMA_VERSION) -> JournalReader:
    """Open the journal of the job whose journal is, or would be, at `path` for reading.

    Of a journal from version `oldest` on that is not migrated yet, only `job` and `outcomes` may be
    read.

    Raises:
        JournalUnreadable: it is missing or damaged, or its database cannot be used.
        JournalVersionMismatch: it is older than `oldest`, or newer than this program.
    """
    schema = schema_of(path)
    if schema is None:
        return sqlite_reader.open_reader(path, oldest=oldest)
    with _database() as dsn:
        from batch_runner.journal.postgres.reader import PostgresReader

        return PostgresReader(dsn, schema)


def open_journal(path: Path, *, wall_clock: Callable[[], float] = time.time) -> SqlJournal:
    """Open an existing journal for writing; call `migrate` before anything is written.

    Raises:
        JournalUnreadable: it is missing, empty or damaged, or its database cannot be used.
        JournalVersionMismatch: a newer program wrote it.
    """
    schema = schema_of(path)
    if schema is None:
        return Journal.open(path, wall_clock=wall_clock)
    with _database() as dsn:
        from batch_runner.journal.postgres.journal import PostgresJournal

        return PostgresJournal.open(dsn, schema, wall_clock=wall_clock)


@contextmanager
def _database() -> Iterator[str]:
    """Yield the user's connection string to a block that imports what needs it.

    Raises:
        JournalUnreadable: there is none, the extra is not installed, or the block failed.
    """
    try:
        dsn = cluster_dsn()
        if dsn is None:
            raise JournalUnreadable(
                tr(
                    "the journal of this job is in the database of a cluster; set {variable} to "
                    "its connection string, or {file_variable} to a file that holds it",
                    variable=VARIABLE,
                    file_variable=FILE_VARIABLE,
                )
            )
        yield dsn
    except JournalUnreadable:
        raise
    except (JournalError, UsageError) as error:
        raise JournalUnreadable(str(error)) from error
    except ImportError as error:  # psycopg, or the library that it loads
        raise JournalUnreadable(
            tr(
                "the journal of this job is in the database of a cluster, which needs an extra "
                "package: pip install 'batch-runner[cluster]'"
            )
        ) from error
