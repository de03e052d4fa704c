"""A PostgreSQL server of the tests' own: in a temporary folder, reached by a Unix socket.

Every pytest process starts one when a test first needs it and stops it at the end; the server also
ends if that process is killed. Its settings are the durable ones that a journal requires; where
there is a file system in memory, its files are there, so that this costs nothing.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.lowlevel
import psycopg
import pytest

from batch_runner.journal.postgres.journal import PostgresJournal

#: Where Debian has the server of each version.
_DEBIAN = Path("/usr/lib/postgresql")
_MEMORY = Path("/dev/shm")  # noqa: S108  a folder with an unused name is made there
_STARTS_WITHIN = _BLOCKED_WITHIN = 120.0
_SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "32MB",
    "autovacuum_naptime": "10s",
    "log_min_messages": "fatal",
}
_numbers = itertools.count(1)


class PostgresServer:
    """One running server."""

    def __init__(self, folder: Path, address: str = "") -> None:
        """`address`: where it also listens, besides its Unix socket."""
        self.folder = folder
        self.dsn = f"host={address or folder} user=tests dbname=postgres"
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        settings = {**_SETTINGS, "listen_addresses": self._address}
        options = [part for pair in settings.items() for part in ("-c", "=".join(pair))]
        data, log = self.folder / "data", (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *_unprivileged(),
                str(_programs() / "postgres"),
                *("-D", str(data), "-k", str(self.folder), *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
        )
        log.close()
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text("utf-8", "replace"))
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server at once, as a crash does; what was committed stays."""
        if self._process is not None:
            subprocess.run(
                [
                    *(*_unprivileged(), str(_programs() / "pg_ctl"), "stop", "--silent"),
                    *("-m", "immediate", "-D", str(self.folder / "data")),
                ],
                cwd=self.folder,
                check=False,
                capture_output=True,
            )
            self._process.wait()
            self._process = None

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    def set(self, name: str, value: str) -> None:
        """Set a setting of the whole server and wait until it is in force."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        while self.get(name) != value:
            time.sleep(0.01)

    def get(self, name: str) -> str:
        """Return a setting, as a new session has it."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            return str(row[0]) if row else ""

    def create_database(self, options: str = "") -> str:
        """Create a database that nobody has rights on but its owner; return its name."""
        name = f"database_{next(_numbers)}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}".encode())
            connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC".encode())
        return name

    def dsn_of(self, database: str, *, user: str = "tests", password: str = "") -> str:
        """Return the connection string of a user for a database; the password is not checked."""
        secret = f" password={password}" if password else ""
        return f"host={self.folder} user={user} dbname={database}{secret}"

    async def wait_for_blocked(self, sessions: int) -> None:
        """Wait until so many sessions wait for a lock."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        deadline = time.monotonic() + _BLOCKED_WITHIN
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while connection.execute(query).fetchone() != (sessions,):
                assert time.monotonic() < deadline, "no session waits for a lock"
                await anyio.lowlevel.checkpoint()  # which wakes the thread of a journal

    def end_sessions(self) -> None:
        """Disconnect the sessions of the program."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                "WHERE application_name = 'batch-runner'"
            )


def new_schema() -> str:
    """Return the name of a schema that no other test has."""
    return f"job_{next(_numbers)}"


def create_journal(server: PostgresServer, schema: str) -> PostgresJournal:
    """Return the journal of a new job."""
    return PostgresJournal.create(server.dsn, schema, job="cards", provider="baicai", origin="x")


def is_installed() -> bool:
    """Return whether a server can be started."""
    return _programs_or_none() is not None


def postgres() -> PostgresServer:
    """Return this process's server; skip the test where PostgreSQL is not installed.

    In CI it must be installed: there the test fails.
    """
    if not is_installed():
        message = "PostgreSQL is not installed (Debian: postgresql)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return _server()


@contextmanager
def new_server(address: str = "") -> Iterator[PostgresServer]:
    """Yield a server that nobody else uses, and that may be stopped and started.

    `address`: where anybody may connect to it, besides its Unix socket.
    """
    server = _start(address)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@functools.cache
def _server() -> PostgresServer:
    server = _start()
    atexit.register(shutil.rmtree, server.folder, ignore_errors=True)
    atexit.register(server.stop)
    return server


def _start(address: str = "") -> PostgresServer:
    parent = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=parent))
    if os.geteuid() == 0:
        shutil.chown(folder, _account())
    subprocess.run(
        [
            *(*_unprivileged(), str(_programs() / "initdb"), "--no-sync", "--username=tests"),
            *("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("-D", str(folder / "data")),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    if address:
        with (folder / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all all all trust\n")
    server = PostgresServer(folder, address)
    server.start()
    return server


def _unprivileged() -> list[str]:
    """Return the beginning of a command that ends with this process, and is not root's."""
    command = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        name = _account()
        group = str(pwd.getpwnam(name).pw_gid)
        command += ["--reuid", name, "--regid", group, "--clear-groups"]
    return [*command, "--"]


def _account() -> str:
    """Return the user that the server runs as: PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise RuntimeError("there is no user that PostgreSQL could run as")


def _programs() -> Path:
    found = _programs_or_none()
    assert found is not None
    return found


@functools.cache
def _programs_or_none() -> Path | None:
    if path := shutil.which("initdb"):
        return Path(path).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    return versions[-1].parent if versions else None
