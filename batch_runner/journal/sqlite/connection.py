"""Open and check the SQLite file; find its location, by which a copy is recognised."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.util.fs import lock_records
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, utf8_text

#: Seconds to wait for a reader (`status --watch`) that holds the file.
BUSY_SECONDS = 60.0

#: See `SqlReader._FILE_NAMES`.
FILE_NAMES = (
    "SELECT items.key AS key, status, json_extract(one.value, '$.name') AS name "
    "FROM items, json_each(items.files) AS one"
)


def write_failed(error: sqlite3.Error) -> JournalError:
    """Return the JournalError for an error of SQLite while it writes."""
    reason = str(error)
    if getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY_DBMOVED":
        reason = "its folder was moved or removed; run again with the folder where it is now"
    return JournalError(f"the journal cannot be written: {reason}")


class Transaction:
    """A durable transaction on a connection that no committer owns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise write_failed(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            self._connection.execute("ROLLBACK" if kind else "COMMIT")
        except sqlite3.Error as problem:
            first = error if isinstance(error, sqlite3.Error) else problem
            raise write_failed(first) from problem
        if isinstance(error, sqlite3.Error):
            raise write_failed(error) from error


@contextmanager
def translated() -> Iterator[None]:
    """Raise JournalError for the errors of SQLite."""
    try:
        yield
    except sqlite3.Error as error:
        raise JournalError(f"the journal cannot be read: {error}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open `path` for writing: every commit survives a power cut."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    with closed_on_error(connection):
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        # On macOS, fsync leaves the bytes in the drive's cache; on Linux these change nothing.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def check_locks(path: Path) -> None:
    """Check that the file system of the journal `path` has the locks that SQLite uses.

    Without a run's lock file beside the journal there is nothing to try, and no check.

    Raises:
        JournalError: it has none; SQLite would wait for BUSY_SECONDS.
    """
    try:
        # Not the journal itself: closing it here would end the locks of this process's connections.
        with path.with_name("lock").open("rb") as file:
            lock_records(file.fileno(), shared=True)
    except (FileNotFoundError, PermissionError):
        return
    except OSError as error:
        raise JournalError(
            tr(
                "the file system of {path} cannot lock files ({error}), so the journal cannot be "
                "read; copy the folder to a local disk, or let the server allow locks",
                path=path,
                error=error.strerror or error,
            )
        ) from error


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close `connection` if the block raises."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a damaged journal.

    Raises:
        JournalUnreadable: it is damaged or has no job.
    """
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalUnreadable(
            tr("the journal {path} is damaged: {found}", path=path, found=found)
        )
    if connection.execute("SELECT count(*) FROM job").fetchone()[0] != 1:
        raise JournalUnreadable(tr("the journal {path} names no job", path=path))


def location_of(path: Path) -> tuple[str, str]:
    """Return the output folder (real path, as `utf8_text`) and the file's device:inode."""
    stat = path.stat()
    return utf8_text(Utf8Path(path.parent.parent).resolve()), f"{stat.st_dev}:{stat.st_ino}"
