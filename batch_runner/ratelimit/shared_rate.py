"""One rate for all runs of this user on this machine that use the same service and key.

Theory of operation. A small file in the state folder has the time of the next free slot. A run that
wants to send a request locks the file for some microseconds, takes that slot, moves the time on by
one interval, and then waits for its slot. Slots are given in the order they were asked for, and a
run asks for one at a time, so runs take turns. The interval is that of the lowest limit among the
runs. A pause after a 429 is written into the same file. The rate that a run has learned from 429s
is its own: each run adapts its part, and the sum is what the service accepts.

Nothing of a crashed run has an effect for longer than a second. Each run has a file of its own with
its interval, locked with `flock` as long as it lives; one that is not locked is removed. As a run
has at most one slot ahead, the time of the next slot cannot be further away than one interval for
each run; one that is, was written by a run with a lower limit that has ended, and is ignored. Times
are of the monotonic clock, which starts anew with the machine and in a container with a clock of
its own: what was written under another one is ignored.

Sharing is optional: where the file cannot be used, a run continues with its own rate.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from batch_runner.ratelimit.lease import LONGEST_PAUSE, Lease, interval_of, rate_name, tolerance_of
from batch_runner.units import Rate
from batch_runner.util.fs import try_to_lock
from batch_runner.util.system import clock_id

log = logging.getLogger(__name__)

FOLDER = "rates"
#: Bytes of the file: all of it is written at once, and not even a full disk prevents that.
_SIZE = 320
#: Seconds after which the live runs are looked for again, and most seconds to wait in one piece.
_CHECK_EVERY = 1.0
#: Seconds of slots that are taken at once, so that not each of 1,000 per second locks the file.
_TAKEN_AT_ONCE = 0.004
#: Seconds until the lock is tried again, and after which sharing is given up.
_BUSY_WAIT, _BUSY_LIMIT = 0.002, 5.0


class _State(NamedTuple):
    """What the file has."""

    clock: str = ""  # identifies the clock of all the times
    next: float = -math.inf  # time of the next slot
    interval: float = 0.0  # seconds, of the lowest limit
    runs: float = 0  # live ones
    checked_at: float = -math.inf  # when the live runs were looked for
    paused_at: float = 0.0
    paused_until: float = -math.inf


_NUMBERS = len(_State._fields) - 1


class SharedRate:
    """One run's part in a shared rate, from `open_shared_rate` until `close`."""

    def __init__(self, path: Path, rate: Rate) -> None:
        """`path` is that of the file, the same for all runs that share the rate."""
        self._path = path
        self._interval = interval_of(rate)
        self._tolerance = tolerance_of(rate)
        self._clock = clock_id()
        self._file: int | None = None  # None: not open, or given up
        self._own: int | None = None  # descriptor of the file that shows that this run lives
        self._own_path = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
        self._read = b""  # what was read last, and what it means
        self._state = _State()
        self._lease = Lease()
        self._busy_since: float | None = None

    def open(self) -> None:
        """Begin to share the rate; where that is not possible, log a warning."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, flags, 0o600)
            if not try_to_lock(self._file):
                raise BlockingIOError("another process keeps it locked")
            try:
                self._own = os.open(self._own_path, flags | os.O_EXCL, 0o600)
                _write(self._own, f"{self._interval!r}".encode())
                try_to_lock(self._own)
                _write(self._file, _encoded(_without_check(self._decoded())))
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """End this run's part. May be called twice."""
        if self._file is not None and self._own is not None:
            with suppress(OSError):
                self._own_path.unlink()
            with suppress(OSError), self._locked() as locked:
                if locked:
                    _write(self._file, _encoded(_without_check(self._decoded())))
        self._release()

    @property
    def rate_now(self) -> float:
        """Return the requests per second that this run may send beside the others; inf if all."""
        state = self._state
        if state.runs < 2 and state.interval <= self._interval:  # no other, or none that is slower
            return math.inf
        return 1 / (state.interval * max(1, state.runs))

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds after which to call this again."""
        try:
            if self._file is None or self._has_slot(now) or self._take_slot(now):
                return self._use_slot(now)
        except OSError as error:
            self._give_up(error)
            return 0.0
        return self._busy(now)

    def pause(self, now: float, seconds: float) -> None:
        """Pause all runs for `seconds`, because this one was answered 429."""
        with suppress(OSError), self._locked() as locked:
            if locked and self._file is not None:
                state = self._decoded()
                until = max(now + seconds, _paused_until(state, now))
                state = state._replace(paused_at=now, paused_until=until)
                _write(self._file, _encoded(state))

    def paused_for(self, now: float) -> float:
        """Return the seconds until the pause ends, 0 if there is none."""
        if self._file is None:
            return 0.0
        try:
            return max(0.0, _paused_until(self._decoded(), now) - now)
        except OSError as error:
            self._give_up(error)
            return 0.0

    # The slot of this run.

    def _has_slot(self, now: float) -> bool:
        """Return whether this run has a slot that it can still use."""
        if not self._lease.tokens:
            return False
        if now < self._lease.slot and _is_unchecked(self._decoded(), now):
            with self._locked() as locked:
                if locked:
                    self._checked(now)
        return self._lease.usable(now) and self._decoded().interval == self._lease.interval

    def _use_slot(self, now: float) -> float:
        """Use a token of the slot and return 0, or return the seconds until it may be used."""
        return 0.0 if self._file is None else min(self._lease.use(now), _CHECK_EVERY)

    def _take_slot(self, now: float) -> bool:
        """Take the next free slot; return False if another process has the lock."""
        with self._locked() as locked:
            if locked and self._file is not None:
                state = self._checked(now)
                tokens = max(1, int(_TAKEN_AT_ONCE / state.interval))
                step = tokens * state.interval
                furthest = now + state.runs * step + self._tolerance
                free = state.next if state.next <= furthest else now + step
                slot = max(free, now - self._tolerance)
                _write(self._file, _encoded(state._replace(next=slot + step)))
                self._lease = Lease(slot, tokens, state.interval, self._tolerance)
        return locked

    def _checked(self, now: float) -> _State:
        """Return what the file has, with the live runs of the last second; needs the lock."""
        state = self._decoded()
        if self._file is not None and _is_unchecked(state, now):
            intervals = [self._interval, *self._intervals_of_others()]
            state = state._replace(interval=max(intervals), runs=len(intervals), checked_at=now)
            _write(self._file, _encoded(state))
        return state

    def _intervals_of_others(self) -> Iterator[float]:
        """Yield the interval of each other run that lives; remove what crashed ones have left."""
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            if path.name == self._own_path.name:
                continue
            with suppress(OSError, ValueError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    path.unlink()
                except BlockingIOError:
                    if 0 < (interval := float(os.pread(descriptor, _SIZE, 0))) < math.inf:
                        yield interval
                finally:
                    os.close(descriptor)

    # The file.

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Lock the file for the block; yield False if another process has it locked."""
        if self._file is None:
            yield False
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            self._busy_since = None
            yield True
        finally:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _busy(self, now: float) -> float:
        """Return the seconds until the lock is tried again, 0 after giving up."""
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < _BUSY_LIMIT:
            return _BUSY_WAIT
        self._give_up(BlockingIOError("another process keeps it locked"))
        return 0.0

    def _decoded(self) -> _State:
        """Return what the file has; nothing if it is damaged or of another clock."""
        data = b"" if self._file is None else os.pread(self._file, _SIZE, 0)
        if data != self._read or not data:
            self._read = data
            self._state = _decode(data, self._clock)
        return self._state

    def _give_up(self, error: OSError) -> None:
        log.warning(
            "%s cannot be used (%s): runs with the same key do not share their rate, and together "
            "may exceed it",
            self._path,
            error.strerror or error,
        )
        self._release()

    def _release(self) -> None:
        for descriptor in (self._own, self._file):
            if descriptor is not None:
                os.close(descriptor)
        if self._own is not None:
            with suppress(OSError):
                self._own_path.unlink(missing_ok=True)
        self._own = self._file = None
        self._state = _State()


def shared_rate_path(state: Path, host: str, key: str) -> Path:
    """Return the file of a service's host and an API key, which cannot be found from its name."""
    return state / FOLDER / rate_name(host, key)


@contextmanager
def open_shared_rate(path: Path | None, rate: Rate) -> Iterator[SharedRate | None]:
    """Share the rate with the other runs that use the file at `path`; None: share nothing."""
    if path is None:
        yield None
        return
    shared = SharedRate(path, rate)
    shared.open()
    try:
        yield shared
    finally:
        shared.close()


def _paused_until(state: _State, now: float) -> float:
    if not (state.paused_at <= now and math.isfinite(state.paused_until)):
        return -math.inf
    return min(state.paused_until, state.paused_at + LONGEST_PAUSE)


def _is_unchecked(state: _State, now: float) -> bool:
    return not 0 <= now - state.checked_at < _CHECK_EVERY


def _without_check(state: _State) -> _State:
    """Return the state with the runs to be looked for anew, because one begins or ends."""
    return state._replace(checked_at=-math.inf)


def _encoded(state: _State) -> bytes:
    """Return the values as text, separated by blanks and padded to _SIZE bytes."""
    return " ".join(map(str, state)).encode().ljust(_SIZE)


def _decode(data: bytes, clock: str) -> _State:
    with suppress(ValueError):
        found, *numbers = data.decode("ascii").split()
        values = [float(one) for one in numbers]
        if found == clock and len(values) == _NUMBERS and not any(map(math.isnan, values)):
            return _State(clock, *values)
    return _State(clock)


def _write(descriptor: int, data: bytes) -> None:
    if os.pwrite(descriptor, data, 0) != len(data):
        raise OSError("not all of it could be written")
