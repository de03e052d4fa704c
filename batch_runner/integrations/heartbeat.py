"""Pings `notify.heartbeat`: the start of a run, its success or its failure.

The convention is that of healthchecks.io and services like it: URL/start, URL and URL/fail. A ping
that fails is logged and changes nothing. The URL is a secret: whoever has it can ping.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import anyio

from batch_runner.errors import BatchRunnerError, UsageError
from batch_runner.manifest import Manifest
from batch_runner.providers.credentials import choose_proxies
from batch_runner.settings import Network
from batch_runner.util.paths import utf8_environment

log = logging.getLogger(__name__)

#: Seconds for one try, and before the second one.
TRY_SECONDS, PAUSE = 10.0, 1.0
#: Characters of a body, at most.
BODY_LIMIT = 10_000


class Heartbeat:
    """The pings of one run. Without a URL there are none."""

    def __init__(
        self, url: str | None, network: Network, *, try_seconds: float = TRY_SECONDS
    ) -> None:
        self.network = network
        self._url = url
        self._try_seconds = try_seconds
        self._starting: threading.Thread | None = None
        self._ended = False

    @classmethod
    def of(cls, manifest: Manifest, *, wanted: bool) -> Self:
        """Return the heartbeat of a manifest; without pings unless `wanted`."""
        url = manifest.notify.heartbeat if wanted else None
        return cls(url, manifest.settings.network)

    @property
    def secrets(self) -> set[str]:
        """Return what no log may show."""
        return {self._url} if self._url else set()

    def start(self) -> None:
        """Ping the start, without waiting for it."""
        if self._url and self._starting is None:
            self._starting = threading.Thread(
                target=self._ping, args=("start", ""), daemon=True, name="heartbeat"
            )
            self._starting.start()

    def end(self, body: str, *, failed: bool) -> None:
        """Ping the end of the run, once; `body` is a sentence about it."""
        if self._url and not self._ended:
            self._ended = True
            if self._starting is not None:  # the end must not arrive before the start
                self._starting.join(2 * self._try_seconds + PAUSE)
            self._ping("fail" if failed else "", body)

    def _ping(self, word: str, body: str) -> None:
        what = {"start": "the start", "fail": "the failure", "": "the success"}[word]
        try:
            problem = self._try_twice(ping_url(self._url or "", word), body[:BODY_LIMIT])
        except UsageError as error:  # of a proxy
            problem = str(error)
        except Exception:  # noqa: BLE001  the run goes on; the text may contain the URL
            problem = "an unexpected error"
        if problem is not None:
            log.warning("notify.heartbeat: the ping of %s failed: %s", what, problem)

    def _try_twice(self, url: str, body: str) -> str | None:
        from batch_runner.providers.http.ping import ping

        proxies = choose_proxies(self.network, utf8_environment())
        if anyio.run(ping, url, body, proxies, self._try_seconds) is None:
            return None
        time.sleep(PAUSE)
        return anyio.run(ping, url, body, proxies, self._try_seconds)


def ping_url(url: str, word: str) -> str:
    """Return the URL to ping for "start", "fail" or "" (success); a query stays at the end."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + (f"/{word}" if word else "")
    return urlunsplit(parts._replace(path=path if word else parts.path, fragment=""))


@contextmanager
def failure_pinged(heartbeat: Heartbeat) -> Iterator[None]:
    """Ping a failure if the block raises: a run that is refused must be noticed, too."""
    try:
        yield
    except BatchRunnerError as error:
        heartbeat.end(str(error), failed=True)
        raise
    except Exception:
        heartbeat.end("the run ended by a bug in batch-runner", failed=True)
        raise
