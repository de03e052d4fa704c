"""Everything raised on purpose, sorted by what the caller should do.

::

    * BatchRunnerError           everything raised on purpose
      x UsageError                 the operator can fix it; nothing was sent (exit 2)
        + ManifestError              every problem of one manifest, each at its place
        + FolderRefused              the output folder may not be used like this
      x JobLocked                  another run holds the job (exit 5)
      x JournalError               the journal could not be read or written
        + JournalUnreadable          missing, damaged, or an older copy (exit 2)
          - JournalVersionMismatch     written by an older or a newer program (exit 2)
        + Overtaken                  another run is at work on it
      x ApiError                   one call to the service went wrong; its `failure` says how
      x FileRejected               the bytes that came are not a whole file
      x DiskFailed                 this machine cannot store what came
    * IllegalTransition(RuntimeError)  a move that the lifecycle does not know: a bug of ours

An item's failure is data in the journal, not an exception that climbs. What reaches `run` ends
the run. Foreign exceptions (aiohttp, sqlite3, yaml, OSError) are translated in the one module that
owns the library, and their text never carries request headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batch_runner.util.text import width


class BatchRunnerError(Exception):
    """Everything raised on purpose."""


class UsageError(BatchRunnerError):
    """The operator can fix it; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in an input file, with its place (1-based) and the way out."""

    path: str
    line: int
    column: int
    message: str
    item: str | None = None
    hint: str | None = None
    source_line: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}"
        item = f" [{self.item}]" if self.item else ""
        text = f"{where}:{item} {self.message}"
        if self.source_line is not None:
            caret = " " * width(self.source_line[: max(0, self.column - 1)]) + "^"
            text += f"\n    {self.source_line}\n    {caret}"
        if self.hint:
            text += f"\n    hint: {self.hint}"
        return text


class ManifestError(UsageError):
    """Every problem of one manifest, each at its place."""

    def __init__(self, problems: list[Problem], *, more: int = 0) -> None:
        self.problems = problems
        self.more = more
        lines = [str(problem) for problem in problems]
        if more:
            lines.append(f"… and {more} more")
        super().__init__("\n".join(lines))


class FolderRefused(UsageError):
    """The output folder may not be used like this."""


class JobLocked(BatchRunnerError):
    """Another run holds the job."""


class JournalError(BatchRunnerError):
    """The journal could not be read or written."""


class JournalUnreadable(JournalError):
    """The journal is missing, damaged, or an older copy of itself."""


class JournalVersionMismatch(JournalUnreadable):
    """The journal was written by an older or a newer version of this program."""


class JournalConflict(JournalError):
    """The journal has an item elsewhere than this run left it: another run is at work on it."""


class Failure(StrEnum):
    """How a call to the service went wrong: the rows of the table in `retry`."""

    UNSENT = "unsent"  #: provably nothing left this machine: DNS, refused, TLS, connect timeout
    NO_RESPONSE = "no-response"  #: bytes may have left, no readable answer came back
    AMBIGUOUS = (
        "ambiguous"  #: 408, 409, 425, 5xx: an answer that does not say whether it was accepted
    )
    LIMITED = "limited"  #: 429 or a queue-full code: not accepted, come back later
    REJECTED = "rejected"  #: other 4xx, or a success status with an error code: not accepted
    NOT_FOUND = (
        "not-found"  #: 404 or 410: the service does not know this task or file (yet, any more)
    )
    FORBIDDEN = "forbidden"  #: 401, 403 or a balance code: nothing will be accepted from us
    REDIRECTED = "redirected"  #: 3xx, never followed with a key
    LOCAL = "local"  #: this machine is out of something: disk, descriptors


class ApiError(BatchRunnerError):
    """One call to the service went wrong.

    `status` is the HTTP status, `code` the service's own, both None when no answer was read.
    `retry_after` is in seconds, None when the service named no time. `candidate` is a task id seen
    in an answer that could otherwise not be trusted.
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
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.candidate = candidate


class FileRejected(BatchRunnerError):
    """The bytes that came are not a whole file of a known kind."""


class DiskFailed(BatchRunnerError):
    """This machine cannot store what came: full, read-only, out of descriptors."""


class IllegalTransition(RuntimeError):
    """A move that the lifecycle does not know: a bug of ours. Nothing was changed."""
