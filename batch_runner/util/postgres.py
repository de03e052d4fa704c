"""Connect to PostgreSQL; needs the extra `cluster`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

#: A server that does not answer any more, or a client of which it hears nothing, is given up after
#: less than half a minute.
_NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
#: Settings of each session, times in milliseconds: a stopped client keeps no locks.
_SESSION = {
    "client_encoding": "UTF8",
    "idle_in_transaction_session_timeout": "60000",
    "lock_timeout": "30000",
    "statement_timeout": "300000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


def connect(dsn: str, settings: Mapping[str, str], **options: Any) -> psycopg.Connection[Any]:
    """Connect to a database, each statement being committed by itself.

    Args:
        dsn: connection string or URL
        settings: of the session, besides those that every session has
        options: arguments of `psycopg.connect`

    Raises:
        ValueError: `dsn` is not a connection string; it may contain a password and is not shown.
        psycopg.Error: there is no connection.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        given = {}
    if not given or _is_misread(given):
        raise ValueError("not a connection string")
    options |= {name: value for name, value in _NETWORK.items() if name not in given}
    connection: psycopg.Connection[Any] = psycopg.connect(
        dsn, autocommit=True, application_name="batch-runner", **options
    )
    wanted = {**_SESSION, **settings}
    calls = ", ".join(["set_config(%s, %s, false)"] * len(wanted))
    values = [part for pair in wanted.items() for part in pair]
    try:
        connection.execute(f"SELECT {calls}", values)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_misread(given: Mapping[str, Any]) -> bool:
    """Return whether a part of the password is in another place, and would be shown in errors.

    In a URL, the characters @ and / of a password must be percent-encoded.
    """
    ports = str(given.get("port") or "0").split(",")
    return "@" in str(given.get("host") or "") or not all(port.isdigit() for port in ports)


def reason_of(error: psycopg.Error) -> str:
    """Return the reason of an error of the database as one line."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
