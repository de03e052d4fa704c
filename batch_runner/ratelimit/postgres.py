"""One rate for all hosts that use the same service and key: a row in PostgreSQL.

Theory of operation. The row has the time of the next free slot, on the clock of the database. A
process takes the slots of some milliseconds by one statement, before it has used up those that it
has, and gives their tokens to its callers at their times. While it asks for tokens only now and
then, it takes one at a time, so that no slots are lost to the others. A pause after a 429 is
written into the same row; every process reads it with each statement, at least once a second.

One thread of the process talks to the database, so that no caller waits for it. Each statement is
committed by itself. It does not wait for the disk: after a crash of the database, slots and pauses
of a second may be forgotten, which restarting it takes longer than.

Without the database there are no tokens.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files as package_files
from typing import Any

import psycopg

from batch_runner.ratelimit.lease import LONGEST_PAUSE, Lease, interval_of, tolerance_of
from batch_runner.units import Rate
from batch_runner.util.postgres import connect, reason_of

log = logging.getLogger(__name__)

#: Above this rate more slots are made up for, as those who take them wait for a network.
_FAST = 50.0
#: Seconds of slots that are taken at once while callers ask for one token after the other.
_TAKEN_AT_ONCE = 0.02
#: Seconds after the last token within which the next caller is one of these.
_CONTINUOUS = 0.1
#: Seconds until a caller asks again: while slots are being taken, at least and at most, and without
#: the database.
_SOON, _LATEST, _RETRY = 0.001, 0.005, 1.0
#: Seconds after which the pause is read again.
_CHECK_EVERY = 1.0
#: Held while the tables are made: `CREATE … IF NOT EXISTS` alone fails if two do it at once.
_ADVISORY_LOCK = 0x62617463685F7274

_TAKE = "SELECT * FROM batch_runner.take_slots(%s, %s, %s, %s, %s)"
_INSERT = "INSERT INTO batch_runner.rates (name) VALUES (%s) ON CONFLICT DO NOTHING"
_PAUSE = "SELECT batch_runner.pause_rate(%s, %s, %s)"


class PostgresRate:
    """One process's part in a shared rate, from `open_postgres_rate` until `close`."""

    def __init__(
        self,
        dsn: str,
        name: str,
        rate: Rate,
        *,
        clock: Callable[[], float] = time.monotonic,
        database_clock: Callable[[], float] | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            dsn: connection string or URL of the database
            name: of the rate, from `rate_name`
            rate: limit of this process
            clock: that of `now` in the calls
            database_clock: in the place of the database's own, for tests
        """
        self._dsn = dsn
        self._name = name
        self._interval = interval_of(rate)
        self._tolerance = tolerance_of(rate, _FAST)
        self._clock = clock
        self._database_clock = database_clock
        self._connection: psycopg.Connection[Any] | None = None
        self._seconds = self._interval  # between tokens, of the lowest limit
        self._leases: deque[Lease] = deque()
        self._last_used = self._paused_until = self._unusable_until = -math.inf
        self._wanted = 0  # slots that the thread is to take
        self._took = _SOON  # seconds of the last statement
        self._pauses: list[float] = []  # to be written, in seconds
        self._lock = threading.Lock()  # of what is above
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="rate", daemon=True)

    def open(self) -> None:
        """Begin to share the rate.

        Raises:
            ValueError: the connection string is not one.
            psycopg.Error: there is no connection.
        """
        self._connection = _connect(self._dsn, self._name)
        self._thread.start()

    def close(self) -> None:
        """End this process's part; tokens that it has are lost."""
        self._closing = True
        self._wake.set()
        self._thread.join(_CHECK_EVERY)  # no longer: the database may not answer

    @property
    def busy(self) -> bool:
        """Return whether the thread has something to do."""
        return self._wanted > 0 or bool(self._pauses)

    @property
    def rate_now(self) -> float:
        """Return the lower limit of another process, inf if there is none."""
        return 1 / self._seconds if self._seconds > self._interval else math.inf

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds after which to call this again."""
        with self._lock:
            while self._leases and not self._leases[0].usable(now):
                self._leases.popleft()
            if not self._leases:
                return self._ask(now)
            if (wait := self._leases[0].use(now)) > 0:
                return min(wait, _CHECK_EVERY)
            at_once, self._last_used = self._at_once(now), now
            if at_once > 1 and sum(one.tokens for one in self._leases) <= at_once // 2:
                self._ask(now)
            return 0.0

    def _ask(self, now: float) -> float:
        """Let the thread take slots; return the seconds after which to look for them."""
        if now < self._unusable_until:
            return self._unusable_until - now
        if now < self._paused_until:
            return min(self._paused_until - now, _CHECK_EVERY)
        if not self._wanted:
            self._wanted = self._at_once(now)
            self._wake.set()
        return min(max(_SOON, self._took), _LATEST)

    def _at_once(self, now: float) -> int:
        continuous = now - self._last_used < _CONTINUOUS
        return max(1, round(_TAKEN_AT_ONCE / self._seconds)) if continuous else 1

    def pause(self, now: float, seconds: float) -> None:
        """Pause all processes for `seconds`, because this one was answered 429."""
        with self._lock:
            seconds = min(seconds, LONGEST_PAUSE)
            self._paused_until = max(self._paused_until, now + seconds)
            self._pauses.append(seconds)
            self._leases.clear()
            self._wake.set()

    def paused_for(self, now: float) -> float:
        """Return the seconds until the pause ends, 0 if there is none."""
        return max(0.0, self._paused_until - now)

    # The thread.

    def _work(self) -> None:
        while not self._closing:
            self._wake.wait(_CHECK_EVERY)
            self._wake.clear()
            try:
                self._talk()
            except (psycopg.Error, ValueError) as error:
                self._failed(error)
        if self._connection is not None:
            self._connection.close()

    def _talk(self) -> None:
        """Write what pauses there are, take what slots are wanted, and read the pause."""
        if self._connection is None:
            self._connection = _connect(self._dsn, self._name)
        while self._pauses:
            self._connection.execute(_PAUSE, (self._name, self._pauses[0], self._database_time()))
            with self._lock:
                self._pauses.pop(0)
        wanted = self._wanted
        values = (self._name, self._interval, self._tolerance, wanted, self._database_time())
        started = self._clock()
        row = self._connection.execute(_TAKE, values).fetchone()
        now = self._clock()
        self._took = now - started
        if self._unusable_until > -math.inf:
            self._unusable_until = -math.inf
            log.info("the shared rate is available again")
        with self._lock:
            taken, starts_in, self._seconds, paused_for = row or (0, 0.0, self._seconds, 0.0)
            if taken:
                # From now on, if its time has come: else it might be lost before anybody sees it.
                slot = now + max(0.0, starts_in)
                self._leases.append(Lease(slot, taken, self._seconds, self._tolerance))
            if paused_for:
                self._paused_until = max(self._paused_until, now + min(paused_for, LONGEST_PAUSE))
            if wanted:  # else a caller may have asked meanwhile
                self._wanted = 0

    def _database_time(self) -> float | None:
        return None if self._database_clock is None else self._database_clock()

    def _failed(self, error: Exception) -> None:
        """Give no tokens for a while, after which the database is tried again."""
        with self._lock:
            if self._unusable_until == -math.inf:
                reason = reason_of(error) if isinstance(error, psycopg.Error) else str(error)
                log.warning("the shared rate is not available, nothing is submitted: %s", reason)
            self._unusable_until = self._clock() + _RETRY
            self._wanted = 0
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _connect(dsn: str, name: str) -> psycopg.Connection[Any]:
    """Connect, and create the row of a rate where it is missing, also after a crash."""
    connection = connect(dsn, {"synchronous_commit": "off"}, prepare_threshold=1)
    try:
        connection.execute(_INSERT, (name,))
    except BaseException:
        connection.close()
        raise
    return connection


def create_rates(dsn: str) -> None:
    """Create the table of rates and its functions where they are missing.

    Raises:
        ValueError: the connection string is not one.
        psycopg.Error: they cannot be created.
    """
    statements = package_files(__package__).joinpath("rates.sql").read_text("utf-8")
    connection = connect(dsn, {})
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
            connection.execute(statements)
    finally:
        connection.close()


@contextmanager
def open_postgres_rate(dsn: str, name: str, rate: Rate, **options: Any) -> Iterator[PostgresRate]:
    """Share a rate with all hosts that use this database; `options` are those of `PostgresRate`."""
    shared = PostgresRate(dsn, name, rate, **options)
    shared.open()
    try:
        yield shared
    finally:
        shared.close()
