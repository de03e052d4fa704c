"""A log file for each run, the newest kept; the API key is removed from every line."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from batch_runner.jobdir.paths import JobFolder

#: Log files kept.
MAX_FILES = 30


class _RedactingFormatter(logging.Formatter):
    """Formats records with the secret replaced."""

    def __init__(self, form: str, secret: str) -> None:
        super().__init__(form)
        self._secret = secret

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line.replace(self._secret, "[key]") if self._secret else line


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error, which may be closed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore a failed write: the terminal may be closed."""


@contextmanager
def run_log(
    folder: JobFolder, *, secret: str, quiet: bool, logger: logging.Logger
) -> Iterator[None]:
    """Write what `logger` gets to a new file, and warnings (`quiet`: errors) to standard error.

    Raises:
        FolderRefused: the file cannot be created.
    """
    try:
        handlers = [_file_handler(folder, secret), _stderr_handler(secret, quiet=quiet)]
    except OSError as error:
        raise folder.output_folder_error(error) from error
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
            with suppress(OSError):  # the disk may be full
                handler.close()


def _file_handler(folder: JobFolder, secret: str) -> logging.Handler:
    for old in sorted(folder.logs.glob("run-*.log"))[: -MAX_FILES + 1]:
        old.unlink(missing_ok=True)
    path = folder.logs / time.strftime("run-%Y%m%d-%H%M%S.log")
    path.touch(mode=0o600)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    handler.setFormatter(_RedactingFormatter(form, secret))
    return handler


def _stderr_handler(secret: str, *, quiet: bool) -> logging.Handler:
    handler = _StderrHandler(sys.stderr)
    handler.setLevel(logging.ERROR if quiet else logging.WARNING)
    handler.setFormatter(_RedactingFormatter("%(levelname)s: %(message)s", secret))
    return handler
