"""Every exception that is raised on purpose, by what the caller should do.

::

    * BatchRunnerError           every exception raised on purpose
      x UsageError                 the user can fix it; nothing was sent (exit 2)
        + ManifestError              every problem of one manifest, each with its location
        + FolderRefused              the output folder cannot be used like this
      x JobLocked                  another run holds the job (exit 5)
      x JournalError               the journal could not be read or written (exit 3)
        + JournalUnreadable          missing, damaged, or an older copy (exit 2)
          - JournalVersionMismatch     written by an older or a newer program (exit 2)
        + JournalConflict            another run has changed an item of this run
      x RegistryError              this user's registry could not be used
      x ApiError                   one request to the service failed; its `failure` says how
      x FileRejected               the downloaded bytes are not a complete, valid file
        + FileNotAccepted            they may be one, but the settings do not accept it
      x DiskFailed                 this machine cannot store a file
    * IllegalTransition(RuntimeError)  an event that the item's status does not allow: a bug

The failure of an item is data in the journal, not an exception. An exception that reaches `run`
ends the run. Exceptions of libraries (aiohttp, sqlite3, yaml) and OSError are translated in the
module that uses the library, and their text never contains request headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batch_runner.util.locale import tr
from batch_runner.util.text import cell_address, is_spreadsheet, width


class BatchRunnerError(Exception):
    """Every exception raised on purpose."""


class UsageError(BatchRunnerError):
    """The user can fix it; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in an input file, with its location (1-based) and a hint.

    In a spreadsheet, `line` and `column` are those of a cell; column 0 means the whole row.
    """

    path: str
    line: int
    column: int
    message: str
    item: str | None = None
    hint: str | None = None
    source_line: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}"
        if is_spreadsheet(self.path):
            where = f"{self.path}:{cell_address(self.line, self.column)}"
        item = f" [{self.item}]" if self.item else ""
        text = f"{where}:{item} {self.message}"
        if self.source_line is not None:
            caret = " " * width(self.source_line[: max(0, self.column - 1)]) + "^"
            text += f"\n    {self.source_line}\n    {caret}"
        if self.hint:
            text += "\n    " + tr("hint: {hint}", hint=self.hint)
        return text


class ManifestError(UsageError):
    """Every problem of one manifest; `more` problems are not listed."""

    def __init__(self, problems: list[Problem], *, more: int = 0) -> None:
        self.problems = problems
        self.more = more
        lines = [str(problem) for problem in problems]
        if more:
            lines.append(tr("… and {count} more", count=more))
        super().__init__("\n".join(lines))


class FolderRefused(UsageError):
    """The output folder cannot be used like this."""


class JobLocked(BatchRunnerError):
    """Another run holds the job."""


class JournalError(BatchRunnerError):
    """The journal could not be read or written."""


class JournalUnreadable(JournalError):
    """The journal is missing, damaged, or an older copy of itself."""


class JournalVersionMismatch(JournalUnreadable):
    """The journal was written by an older or a newer version of this program."""


class JournalConflict(JournalError):
    """An item has another status than this run gave it: another run is working on the job."""


class RegistryError(BatchRunnerError):
    """This user's registry could not be read or written."""


class Failure(StrEnum):
    """How a request failed; `engine.retry_policy` decides by it. May be an item's reason."""

    UNSENT = "unsent"  #: nothing was sent, for certain: DNS, refused, TLS, connect timeout
    NO_RESPONSE = "no-response"  #: something may have been sent; no readable response
    AMBIGUOUS = "ambiguous"  #: 408, 409, 425, 5xx: it may have been accepted
    LIMITED = "limited"  #: 429 or a queue-full code: not accepted, try again later
    REJECTED = "rejected"  #: other 4xx, or an error code in a 2xx: not accepted
    NOT_FOUND = "not-found"  #: 404, 410: the service does not know this task or file (yet)
    FORBIDDEN = "forbidden"  #: 401, 403 or a balance code: nothing will be accepted
    MOVED = "moved"  #: a redirect of the same request to another place: not accepted
    REDIRECTED = "redirected"  #: any other 3xx: it may have been accepted
    TASK_FAILED = "task-failed"  #: a result says that the completed task has failed
    PROXY = "proxy"  #: the proxy refuses: nothing reaches the service
    LOCAL = "local"  #: this machine has no disk space, file descriptors … left


class ApiError(BatchRunnerError):
    """One request to the service failed.

    `status` is the HTTP status, `code` the service's own; None: no response was read.
    `retry_after` is in seconds; None: the service named no time. `candidate` is a task id in a
    response that is otherwise unreadable; None: there was none. `word` is the reason if it is more
    than a number, such as "moderation".
    """

    def __init__(
        self,
        message: str,
        *,
        failure: Failure,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        candidate: str | None = None,
        word: str | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.candidate = candidate
        self.word = word

    @property
    def reason(self) -> str:
        """Return the word by which the report groups such errors, as in "http-500"."""
        if self.word is not None:
            return self.word
        if self.status is None:
            return self.failure.value
        if 200 <= self.status < 300 and self.code is not None:
            return f"code-{self.code}"[:40]
        return f"http-{self.status}" + (f"-code-{self.code}"[:40] if self.code else "")


class FileRejected(BatchRunnerError):
    """The downloaded bytes are not a complete, valid file."""

    #: The word by which the report groups such errors.
    reason = "bad-file"


class FileNotAccepted(FileRejected):
    """The file may be complete, but the settings do not accept it.

    `certain`: another download in this run would end the same way. Otherwise it might not, because
    the bytes may be an error page in place of the file.
    """

    def __init__(self, message: str, *, reason: str, certain: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.certain = certain


class DiskFailed(BatchRunnerError):
    """This machine cannot store a file: disk full, read-only, out of descriptors."""


class IllegalTransition(RuntimeError):
    """An event that the item's status does not allow: a bug. Nothing was changed."""
