"""Deliberate mistakes in the real command, and the kinds of sweeps that must find them.

python -m tests.crash.mistakes                    # try each until a sweep finds it
python -m tests.crash.mistakes nothing_is_claimed
python -m tests.crash.mistakes NAME run …         # what a sweep runs instead of the command
"""

from __future__ import annotations

import asyncio
import functools
import logging
import runpy
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiohttp import connector

from batch_runner.cli import signals
from batch_runner.engine.recorder import Recorder
from batch_runner.engine.retry_policy import TABLE, Call, RetryDecision
from batch_runner.engine.uploads import Uploader
from batch_runner.errors import ApiError, Failure, JournalError
from batch_runner.integrations import log_files
from batch_runner.jobdir import open as opening
from batch_runner.jobdir.claims import JobClaims
from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.registration import usable_registry
from batch_runner.journal import Change
from batch_runner.journal.sql import journal
from batch_runner.lifecycle import Event
from batch_runner.registry import JobLock, Registry

Mistake = Callable[[pytest.MonkeyPatch], None]
#: Seeds within which a mistake must be found.
SOON = 12


def nothing_is_claimed(patch: pytest.MonkeyPatch) -> None:
    """Items are submitted without a claim in the registry."""
    patch.setattr(JobClaims, "claim", lambda job, keys: frozenset())


def claims_are_released_too_early(patch: pytest.MonkeyPatch) -> None:
    """A claim is removed before its item is submitted."""
    real = Registry.claim

    def claim(
        registry: Registry, service: int, job: str, keys: Sequence[str], **more: Any
    ) -> frozenset[str]:
        others = real(registry, service, job, keys, **more)
        registry.release(job)
        return others

    patch.setattr(Registry, "claim", claim)


def claims_of_others_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """An item is submitted although another job has claimed it. For the simulation alone.

    The plan of a real run looks claims up, too, and in time nearly always.
    """
    real = Registry.claim

    def claim(*arguments: Any, **more: Any) -> frozenset[str]:
        real(*arguments, **more)
        return frozenset()

    patch.setattr(Registry, "claim", claim)


def the_folder_is_not_locked(patch: pytest.MonkeyPatch) -> None:
    """Two runs may have one job."""
    patch.setattr(Lock, "_try_to_lock", lambda lock: True)
    patch.setattr(JobLock, "acquire", lambda lock: True)


def copies_are_accepted(patch: pytest.MonkeyPatch) -> None:
    """A copied journal counts as the journal."""
    patch.setattr(opening, "check_location", lambda *_, **__: None)
    patch.setattr(JobLock, "acquire", lambda lock: True)


def submissions_go_on_without_a_journal(patch: pytest.MonkeyPatch) -> None:
    """An error of the journal is ignored."""
    real = Recorder.record

    async def record(recorder: Recorder, *changes: Change) -> None:
        try:
            await real(recorder, *changes)
        except JournalError:
            return

    patch.setattr(Recorder, "record", record)
    patch.setattr(Recorder, "journal_failed", lambda recorder, error: None)
    patch.setattr(Recorder, "write_fallback", lambda *_: None)


def a_new_job_needs_no_registry(patch: pytest.MonkeyPatch) -> None:
    """A new job starts although the registry cannot be used."""
    optional = functools.partial(usable_registry, required=False)
    patch.setattr(opening, "usable_registry", lambda state, **_: optional(state))


def the_log_prints_tracebacks(patch: pytest.MonkeyPatch) -> None:
    """A log file that is full prints a traceback for each line."""
    patch.setattr(log_files._FileHandler, "handleError", logging.Handler.handleError)


def timers_follow_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """The event loop's time is that of the wall clock."""
    patch.setattr(asyncio.BaseEventLoop, "time", lambda loop: time.time())
    patch.setitem(sys.modules, "uvloop", None)


def certificates_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Every certificate is trusted."""
    context = ssl._create_unverified_context()  # noqa: S323
    patch.setattr(connector, "_SSL_CONTEXT_VERIFIED", context)
    patch.setattr(ssl, "create_default_context", lambda *_, **__: context)


def signals_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Nobody acts on SIGTERM and SIGINT."""

    async def watch(run: object, noted: object) -> None:
        await asyncio.Event().wait()

    patch.setattr(signals, "watch_signals", watch)


def unanswered_submissions_are_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A submission whose response was lost is sent again."""
    patch.setitem(TABLE[Failure.NO_RESPONSE], Call.SUBMIT, RetryDecision.AGAIN)


def recovery_sends_submissions_again(patch: pytest.MonkeyPatch) -> None:
    """Submissions that a kill interrupted are taken as not sent."""
    real = journal.interrupted

    def broken(key: str, event: Event) -> Change:
        if event is Event.SUBMIT_INTERRUPTED:
            return Change(key=key, event=Event.SUBMIT_UNSENT)
        return real(key, event)

    patch.setattr(journal, "interrupted", broken)


def failed_uploads_are_submitted(patch: pytest.MonkeyPatch) -> None:
    """An item is submitted without the file whose upload failed."""
    real = Uploader._upload

    async def upload(uploader: Uploader, *arguments: Any) -> str | None:
        try:
            return await real(uploader, *arguments) or "missing"
        except ApiError:
            return "missing"

    patch.setattr(Uploader, "_upload", upload)


MISTAKES: dict[Mistake, str] = {
    nothing_is_claimed: "renamed-job",
    claims_are_released_too_early: "renamed-job",
    the_folder_is_not_locked: "two-runs",
    copies_are_accepted: "copied-job",
    submissions_go_on_without_a_journal: "read-only-output-disk",
    a_new_job_needs_no_registry: "full-state-disk",
    the_log_prints_tracebacks: "full-log-disk",
    timers_follow_the_wall_clock: "jumping-clock",
    certificates_are_not_checked: "own-authority",
    signals_are_ignored: "signalled-pid-1",
    unanswered_submissions_are_sent_again: "dying-proxy",
    recovery_sends_submissions_again: "killed-creation",
    failed_uploads_are_submitted: "uploads",
}


def find(mistake: Mistake, seeds: int = SOON) -> tuple[int, str] | None:
    """Return the first seed whose sweep finds the mistake, and what it says; None: none does."""
    from tests.crash.soak import sweep

    for seed in range(1, seeds + 1):
        done = sweep(
            MISTAKES[mistake], seed, program=("-m", "tests.crash.mistakes", mistake.__name__)
        )
        if done.violations:
            return seed, done.violations[0]
    return None


def main() -> int:
    """Make a mistake and run the command; or look for each, and fail if one is not found."""
    named = {mistake.__name__: mistake for mistake in MISTAKES}
    if len(sys.argv) > 2 and sys.argv[2] not in named:
        named[sys.argv.pop(1)](pytest.MonkeyPatch())
        runpy.run_module("batch_runner", run_name="__main__")
    missed = 0
    for name in sys.argv[1:] or named:
        found = find(named[name])
        missed += found is None
        said = f"seed {found[0]}: {found[1][:300]}" if found else f"not found in {SOON} seeds"
        print(f"{name} ({MISTAKES[named[name]]}): {said}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
