"""Open the registry's file, check it, restore it from its backup copy, and make that copy."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.resources import files as package_files
from pathlib import Path
from urllib.parse import quote

from batch_runner.errors import RegistryError
from batch_runner.util.fs import replace_file, sync_folder
from batch_runner.util.locale import tr
from batch_runner.util.paths import encode_path

#: Version of `schema.sql`.
VERSION = 1
#: Every commit survives a power cut, also on macOS, where fsync leaves bytes in the drive's cache.
_PRAGMAS = (
    *("journal_mode = TRUNCATE", "synchronous = FULL", "fullfsync = ON"),
    *("checkpoint_fullfsync = ON", "trusted_schema = OFF"),
)
#: Seconds to wait for another process that is writing.
BUSY_SECONDS = 10.0
FILE, BACKUP = "registry.sqlite", "registry.sqlite.backup"


def connect(state: Path) -> sqlite3.Connection:
    """Open the registry in the state folder for writing; create or restore it if it is missing.

    Every commit survives a power cut.

    Raises:
        RegistryError: it cannot be used.
    """
    path, backup = state / FILE, state / BACKUP
    with translated(path):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() and backup.exists():
            # A rollback journal of the lost file would change the copy.
            path.with_name(f"{FILE}-journal").unlink(missing_ok=True)
            with replace_file(path, mode=0o600) as out:
                out.write(backup.read_bytes())
            sync_folder(state)
        _remove_old_copies(state)
        if not path.exists():
            # Never opened otherwise: closing it would release the locks of this process's others.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            _create_if_new(connection, state)
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_read(state: Path) -> sqlite3.Connection | None:
    """Open the registry for reading; None if there is none. Writes nothing.

    Raises:
        RegistryError: it cannot be used.
    """
    with translated(state / FILE):
        path = state / FILE if (state / FILE).exists() else state / BACKUP
        if not path.exists():
            return None
    with translated(path):
        for mode in ("ro", "rw"):  # a killed process left a transaction that only a writer can undo
            uri = f"file:{quote(encode_path(str(path.absolute())))}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                _check(connection, path)
            except sqlite3.OperationalError:
                connection.close()
                if mode == "rw":
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection
    raise AssertionError("unreachable")


def may_exist(state: Path) -> bool:
    """Return whether there is a registry, or the state folder does not show whether there is."""
    try:
        return (state / FILE).exists()
    except OSError:
        return True


def write_backup(connection: sqlite3.Connection, state: Path) -> None:
    """Replace the backup copy; it is on the disk when this returns.

    Raises:
        RegistryError: it could not be written; the earlier copy is unchanged.
    """
    with translated(state / BACKUP):
        temporary = state / f".{BACKUP}.{secrets.token_hex(6)}.tmp"
        try:
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
                connection.backup(copy)  # synced by SQLite
            temporary.replace(state / BACKUP)
            sync_folder(state)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise RegistryError for the errors of SQLite and of the system."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise RegistryError(
            tr("the registry {path} cannot be used: {error}", path=path, error=text or error)
        ) from error
    except sqlite3.Error as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, found: str) -> RegistryError:
    return RegistryError(
        tr(
            "the registry {path} is damaged ({found}). Move it away, and its backup copy "
            "{backup} takes its place",
            path=path,
            found=found,
            backup=path.with_name(BACKUP),
        )
    )


def _create_if_new(connection: sqlite3.Connection, state: Path) -> None:
    if _version(connection):
        return
    schema = package_files(__package__).joinpath("schema.sql").read_text("utf-8")
    connection.execute("BEGIN IMMEDIATE")
    if not _version(connection):  # another process may have created it meanwhile
        for statement in _statements(schema):
            connection.execute(statement)
        connection.execute("INSERT INTO registry (secret) VALUES (?)", (secrets.token_bytes(32),))
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    sync_folder(state)


def _statements(schema: str) -> Iterator[str]:
    """Yield the statements one by one: `executescript` would commit before the first."""
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > VERSION:
        raise RegistryError(
            tr(
                "the registry {path} has version {version}, written by a newer batch-runner; this "
                "one reads up to version {newest}, so update it",
                path=path,
                version=version,
                newest=VERSION,
            )
        )
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok" or not version:
        raise _damaged(path, found if version else tr("it has no version"))


def _remove_old_copies(state: Path) -> None:
    """Remove temporary files of processes that were killed more than a day ago."""
    for path in state.glob(".registry.sqlite*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 86400:
                path.unlink()
