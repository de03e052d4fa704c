"""Files that the workers of a job need, by their SHA-256 in hex.

Each function executes one statement, so it may be an operation of the committer. A large file is
read in parts, so that the renewal of leases need not wait for it.
"""

from __future__ import annotations

from batch_runner.journal.sql.connection import Connection


def has(connection: Connection, sha256: str) -> bool:
    """Return whether a file is stored."""
    query = "SELECT 1 FROM contents WHERE sha256 = ?"
    return connection.execute(query, (sha256,)).fetchone() is not None


def store(connection: Connection, sha256: str, content: bytes) -> None:
    """Store a file."""
    query = "INSERT INTO contents (sha256, content) VALUES (?, ?) ON CONFLICT DO NOTHING"
    connection.execute(query, (sha256, content))


def read_part(connection: Connection, sha256: str, start: int, count: int) -> bytes | None:
    """Return at most `count` bytes of a file from `start` on; None: it is not stored."""
    query = "SELECT substring(content FROM ? FOR ?) FROM contents WHERE sha256 = ?"
    row = connection.execute(query, (start + 1, count, sha256)).fetchone()
    return None if row is None else bytes(row[0])


def delete_all(connection: Connection) -> None:
    """Delete every file; the next run stores what it needs."""
    connection.execute("TRUNCATE contents")
