"""Limit the downloads at the same time, so that no slow host delays the files of the others."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

import anyio


class DownloadSlots:
    """A number of slots for downloads; a host gets one while it has fewer than are free.

    So a host alone gets half of them, two get a third each, and however many hosts send nothing,
    one is left for the next host.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._in_use: Counter[str] = Counter()
        self._pauses: Counter[str] = Counter()
        self._waiting: dict[str, deque[anyio.Event]] = {}  # hosts take turns

    async def acquire(self, host: str) -> None:
        """Wait for a slot and take it."""
        if self._take(host):
            return
        turn = anyio.Event()
        self._waiting.setdefault(host, deque()).append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release(host)
            else:
                self._waiting[host].remove(turn)
            raise

    def release(self, host: str) -> None:
        """Free a slot of `host`."""
        self._free += 1
        self._in_use[host] -= 1
        if not self._in_use[host]:
            del self._in_use[host]
        if self._waiting:
            self._admit()

    def pause(self, host: str, seconds: float) -> None:
        """Give `host` no slot for that time."""
        self._pauses[host] += 1
        asyncio.get_running_loop().call_later(seconds, self._resume, host)

    def _resume(self, host: str) -> None:
        self._pauses[host] -= 1
        self._admit()

    def _take(self, host: str) -> bool:
        if self._in_use[host] >= self._free or self._pauses[host]:
            return False
        self._free -= 1
        self._in_use[host] += 1
        return True

    def _admit(self) -> None:
        for host, turns in list(self._waiting.items()):
            waited = len(turns)
            while turns and self._take(host):
                turns.popleft().set()
            if len(turns) < waited or not turns:  # behind the other hosts, or nobody waits
                del self._waiting[host]
                if turns:
                    self._waiting[host] = turns


def host_of(url: str) -> str:
    """Return the host of a URL and its port, as they are written; "" for a `data:` URL."""
    # Not the whole URL: that of a `data:` URL is a file.
    return url[:300].partition("://")[2].partition("/")[0]
