"""One log file a run, the newest kept; and the key kept out of every line."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from batch_runner.jobdir.paths import JobFolder

#: Log files kept.
KEPT = 30


class _Redacted(logging.Formatter):
    """Writes a record without the secret, whatever it was made of."""

    def __init__(self, text: str, secret: str) -> None:
        super().__init__(text)
        self._secret = secret

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line.replace(self._secret, "[key]") if self._secret else line


class _Quiet(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error, which may have been closed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore a reader that has gone."""


@contextmanager
def run_log(folder: JobFolder, *, secret: str, quiet: bool) -> Iterator[None]:
    """Send this program's log to a file of its own, and warnings to standard error.

    Raises:
        FolderRefused: the file cannot be made.
    """
    root = logging.getLogger()
    try:
        handlers = [_file_handler(folder, secret), _stderr_handler(secret, quiet=quiet)]
    except OSError as error:
        raise folder.output_folder_error(error) from error
    level = root.level
    root.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            with suppress(OSError):  # the disk is full, and says so once more
                handler.close()


def _file_handler(folder: JobFolder, secret: str) -> logging.Handler:
    for old in sorted(folder.logs.glob("run-*.log"))[: -KEPT + 1]:
        old.unlink(missing_ok=True)
    path = folder.logs / time.strftime("run-%Y%m%d-%H%M%S.log")
    path.touch(mode=0o600)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Redacted("%(asctime)s %(levelname)-7s %(name)s: %(message)s", secret))
    return handler


def _stderr_handler(secret: str, *, quiet: bool) -> logging.Handler:
    handler = _Quiet(sys.stderr)
    handler.setLevel(logging.ERROR if quiet else logging.WARNING)
    handler.setFormatter(_Redacted("%(levelname)s: %(message)s", secret))
    return handler
