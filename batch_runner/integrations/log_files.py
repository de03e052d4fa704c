"""A log file for each run, the newest kept; the API key is removed from every line."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from batch_runner.jobdir.paths import JobFolder
from batch_runner.util.text import error_reason, printable

#: Log files kept.
MAX_FILES = 30


class _RedactingFormatter(logging.Formatter):
    """Formats records with secrets replaced."""

    def __init__(self, form: str, secrets: Collection[str]) -> None:
        super().__init__(form)
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[key]")
        return line


class _FileHandler(logging.FileHandler):
    """Writes to the log file; what cannot be written is left out, which is said once."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say once why; Python's own way is a traceback, with the unredacted text, for each."""
        if not self._failed:
            self._failed = True
            reason = printable(error_reason(sys.exc_info()[1] or OSError("?")))
            with suppress(OSError, ValueError):  # standard error may be on the same disk
                sys.stderr.write(f"WARNING: the log file is incomplete: {reason}\n")
                sys.stderr.flush()

    def close(self) -> None:
        """Close the file; what could not be written is still in its buffer."""
        with suppress(OSError):
            super().close()


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error, which may be closed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore a failed write: the terminal may be closed."""


@contextmanager
def run_log(
    folder: JobFolder,
    *,
    secrets: Collection[str],
    quiet: bool,
    logger: logging.Logger,
    keep_all: bool = False,
) -> Iterator[None]:
    """Write what `logger` gets to a new file, and warnings (`quiet`: errors) to standard error.

    `secrets` are replaced in every line. A full disk does not end the run. Unless `keep_all` is
    set, only the newest files stay.

    Raises:
        FolderRefused: the file cannot be created.
    """
    try:
        handlers = [
            _file_handler(folder, secrets, keep_all=keep_all),
            _stderr_handler(secrets, quiet=quiet),
        ]
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
            handler.close()


def _file_handler(
    folder: JobFolder, secrets: Collection[str], *, keep_all: bool
) -> logging.Handler:
    old_files = [] if keep_all else sorted(folder.logs.glob("run-*.log"))[: -MAX_FILES + 1]
    for old in old_files:
        old.unlink(missing_ok=True)
    path = folder.logs / time.strftime("run-%Y%m%d-%H%M%S.log")
    path.touch(mode=0o600)
    handler = _FileHandler(path, encoding="utf-8", errors="backslashreplace")
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    handler.setFormatter(_RedactingFormatter(form, secrets))
    return handler


def _stderr_handler(secrets: Collection[str], *, quiet: bool) -> logging.Handler:
    handler = _StderrHandler(sys.stderr)
    handler.setLevel(logging.ERROR if quiet else logging.WARNING)
    handler.setFormatter(_RedactingFormatter("%(levelname)s: %(message)s", secrets))
    return handler
