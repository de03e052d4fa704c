"""Seeds decide whole nights; the audit after each run finds no broken promise, and would."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
from collections.abc import Callable, Iterator

import pytest

from batch_runner import media
from batch_runner.engine import run as runs
from batch_runner.engine.admission import Admission
from batch_runner.engine.context import Run
from batch_runner.engine.downloader import Downloader
from batch_runner.engine.producer import Producer
from batch_runner.engine.recorder import Recorder
from batch_runner.engine.retry_policy import TABLE, Call, RetryDecision
from batch_runner.errors import Failure
from batch_runner.journal import Change
from batch_runner.journal.sqlite import journal
from batch_runner.lifecycle import Event
from batch_runner.models import InFlight, PlacedFile
from batch_runner.ratelimit.limiter import LocalRateLimiter
from tests.crash.__main__ import play
from tests.crash.simulated_job import Trace

CHUNK, CHUNKS = 25, 8
#: Nights within which each mistake below must have been found.
SOON = 200

# A process that was killed closes nothing; here its streams are found by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function MemoryObject:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _bury() -> Iterator[None]:
    """Find those streams here, and not in the middle of a test that has nothing to do with them."""
    yield
    gc.collect()


def report(trace: Trace) -> str:
    return "\n".join((*trace.lines, *trace.violations, f"seed {trace.seed}"))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CHUNK * CHUNKS, CHUNK))
def test_no_night_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + CHUNK):
        trace = play(seed)
        assert not trace.violations, report(trace)


def test_nights_are_as_eventful_as_they_should_be() -> None:
    traces = [play(seed) for seed in range(20)]
    assert sum(trace.crashes for trace in traces) > 10
    assert sum(trace.faults for trace in traces) > 50
    assert sum(trace.submissions for trace in traces) > 80


@pytest.mark.parametrize("seed", [3, 7, 14, 21])
def test_the_same_seed_plays_the_same_night(seed: int) -> None:
    assert play(seed) == play(seed)


def recovery_sends_creates_again(patch: pytest.MonkeyPatch) -> None:
    """What was on the wire when the process died is taken for unsent."""
    real = journal._interrupted

    def broken(key: str, event: Event) -> Change:
        unsent = event is Event.SUBMIT_INTERRUPTED
        return dataclasses.replace(real(key, event), event=Event.SUBMIT_UNSENT if unsent else event)

    patch.setattr(journal, "_interrupted", broken)


def lost_answers_are_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A create whose answer was lost is taken for one that may be repeated."""
    patch.setitem(TABLE[Failure.NO_RESPONSE], Call.SUBMIT, RetryDecision.AGAIN)


def unclear_answers_count_as_refused(patch: pytest.MonkeyPatch) -> None:
    """A 503 to a create is taken for a no."""
    patch.setitem(TABLE[Failure.AMBIGUOUS], Call.SUBMIT, RetryDecision.REJECTED)


def task_ids_are_thrown_away(patch: pytest.MonkeyPatch) -> None:
    """The task id of a create is not journalled."""

    async def broken(recorder: Recorder, change: Change) -> bool:
        if change.task_id is None:
            recorder.record_later(change)
        return True

    patch.setattr(Recorder, "record_outcome", broken)


def nothing_is_kept_aside(patch: pytest.MonkeyPatch) -> None:
    """A task id that the journal does not take is not written anywhere else."""
    patch.setattr(
        Recorder, "write_fallback", lambda recorder, change, error: recorder.journal_failed(error)
    )


def files_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """Whatever begins like a picture is a picture."""
    patch.setattr(media, "check", lambda data, length_known: media.PNG)


def placed_files_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The journal says done and not which files."""
    real = Downloader._record_done

    async def broken(downloader: Downloader, task: InFlight, placed: list[PlacedFile]) -> None:
        await real(downloader, task, [])

    patch.setattr(Downloader, "_record_done", broken)


def paid_tasks_are_not_taken_over(patch: pytest.MonkeyPatch) -> None:
    """A run looks after its own tasks only."""

    async def broken(run: Run) -> None:
        return None

    patch.setattr(runs, "resume_in_flight", broken)


def every_failed_create_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """Whether a create may be sent again is not asked."""

    async def broken(producer: Producer, error: object, tries: int) -> bool:
        return True

    patch.setattr(Producer, "_may_send_again", broken)


def owed_attempts_are_a_commit_of_their_own(patch: pytest.MonkeyPatch) -> None:
    """That a task has failed is on the disk before its item waits for its next attempt."""
    together = Recorder.record

    async def broken(recorder: Recorder, *changes: Change) -> None:
        for change in changes:
            await together(recorder, change)

    patch.setattr(Recorder, "record", broken)


def the_cap_is_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """However many have been paid for, another one may be."""
    patch.setattr(Admission, "_at_cap", lambda admission: False)


def tokens_are_free(patch: pytest.MonkeyPatch) -> None:
    """The pacer holds nobody back."""

    async def broken(limiter: LocalRateLimiter) -> float:
        return asyncio.get_running_loop().time()

    patch.setattr(LocalRateLimiter, "acquire", broken)


MISTAKES: list[Callable[[pytest.MonkeyPatch], None]] = [
    recovery_sends_creates_again,
    lost_answers_are_sent_again,
    unclear_answers_count_as_refused,
    task_ids_are_thrown_away,
    nothing_is_kept_aside,
    files_are_not_looked_at,
    placed_files_are_forgotten,
    paid_tasks_are_not_taken_over,
    every_failed_create_is_sent_again,
    owed_attempts_are_a_commit_of_their_own,
    the_cap_is_not_looked_at,
    tokens_are_free,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_in_the_runner_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    assert any(play(seed).violations for seed in itertools.islice(itertools.count(), SOON))
