"""The audit after each simulated run finds no broken promise, and finds deliberate mistakes."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batch_runner import media
from batch_runner.engine import run as runs
from batch_runner.engine.admission import Admission
from batch_runner.engine.context import Run
from batch_runner.engine.downloader import Downloader
from batch_runner.engine.producer import Producer
from batch_runner.engine.recorder import Recorder
from batch_runner.engine.retry_policy import TABLE, Call, RetryDecision
from batch_runner.engine.settling import Settler
from batch_runner.errors import Failure
from batch_runner.journal import Change
from batch_runner.models import InFlight, PlacedFile
from batch_runner.providers.base import Submitted
from batch_runner.ratelimit.limiter import LocalRateLimiter
from tests.crash.__main__ import simulate
from tests.crash.mistakes import (
    claims_are_released_too_early,
    claims_of_others_are_ignored,
    nothing_is_claimed,
    recovery_sends_submissions_again,
    unanswered_submissions_are_sent_again,
)
from tests.crash.service import Kind, SimulatedService
from tests.crash.simulated_job import Trace
from tests.harness.sweeps import some_of

CHUNK, CHUNKS = 25, 8
#: Seeds within which each mistake below must be found.
SOON = 400

# A killed process closes nothing; here its streams are found by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function MemoryObject:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    """Find those streams here, and not during a test that has nothing to do with them."""
    yield
    gc.collect()


def report(trace: Trace) -> str:
    return "\n".join((*trace.lines, *trace.violations, f"seed {trace.seed}"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_request_id_breaks_no_promise(kind: Kind) -> None:
    for seed in range(CHUNK):
        trace = simulate(seed, kind)
        assert not trace.violations, report(trace)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CHUNK * CHUNKS, CHUNK))
def test_simulated_jobs_break_no_promise(first: int) -> None:
    for seed in range(first, first + CHUNK):
        trace = simulate(seed)
        assert not trace.violations, report(trace)


def test_simulated_jobs_contain_crashes_and_faults() -> None:
    traces = [simulate(seed) for seed in range(20)]
    assert sum(trace.crashes for trace in traces) > 10
    assert sum(trace.faults for trace in traces) > 50
    assert sum(trace.submissions for trace in traces) > 80


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("seed", [7, 14])
def test_same_seed_gives_the_same_trace(seed: int, kind: Kind) -> None:
    assert simulate(seed, kind) == simulate(seed, kind)


def unclear_answers_count_as_rejected(patch: pytest.MonkeyPatch) -> None:
    """A 503 to a submission is taken as a rejection."""
    patch.setitem(TABLE[Failure.AMBIGUOUS], Call.SUBMIT, RetryDecision.REJECTED)


def task_ids_are_thrown_away(patch: pytest.MonkeyPatch) -> None:
    """The task id of a submission is not recorded."""

    async def broken(recorder: Recorder, change: Change) -> bool:
        if change.task_id is None:
            recorder.record_later(change)
        return True

    patch.setattr(Recorder, "record_outcome", broken)


def no_fallback_log_is_written(patch: pytest.MonkeyPatch) -> None:
    """A task id that the journal cannot take is not written anywhere else."""
    patch.setattr(
        Recorder, "write_fallback", lambda recorder, change, error: recorder.journal_failed(error)
    )


def files_are_not_verified(patch: pytest.MonkeyPatch) -> None:
    """Every file is taken as a complete image."""
    patch.setattr(media, "check", lambda data, **_: media.TYPES[0].type)


def placed_files_are_not_recorded(patch: pytest.MonkeyPatch) -> None:
    """The journal says done but not which files."""
    real = Downloader._record_done

    async def broken(downloader: Downloader, task: InFlight, placed: list[PlacedFile]) -> None:
        await real(downloader, task, [])

    patch.setattr(Downloader, "_record_done", broken)


def tasks_in_flight_are_not_resumed(patch: pytest.MonkeyPatch) -> None:
    """A run polls its own tasks only."""

    async def broken(run: Run) -> None:
        return None

    patch.setattr(runs, "resume_in_flight", broken)


def every_failed_submission_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """Whether a submission may be sent again is not decided."""

    async def broken(producer: Producer, error: object, tries: int) -> bool:
        return True

    patch.setattr(Producer, "_may_send_again", broken)


def further_attempts_have_a_commit_of_their_own(patch: pytest.MonkeyPatch) -> None:
    """A task's failure is committed before its item is pending again."""
    together = Recorder.record

    async def broken(recorder: Recorder, *changes: Change) -> None:
        for change in changes:
            await together(recorder, change)

    patch.setattr(Recorder, "record", broken)


def the_spend_cap_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """However many submissions have been paid for, another one may be."""
    patch.setattr(Admission, "_cap_reached", lambda admission, item: None)


def the_rate_limit_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Tokens are given without waiting."""

    async def broken(limiter: LocalRateLimiter) -> float:
        return asyncio.get_running_loop().time()

    patch.setattr(LocalRateLimiter, "acquire", broken)


def expired_keys_are_used(patch: pytest.MonkeyPatch) -> None:
    """A request is repeated although the service may have forgotten its idempotency key."""
    patch.setattr(Settler, "_too_late", lambda settler, unsettled: None)


def absent_tasks_are_submitted_again(patch: pytest.MonkeyPatch) -> None:
    """A service that has forgotten a task is believed although it was paid."""

    async def absent(service: SimulatedService, task_id: str) -> bool:
        return False

    patch.setattr(SimulatedService, "exists", absent)
    patch.setattr(Settler, "__init__", _with_free(Settler.__init__))


def _with_free(real: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        self._free = True

    return init


def repeats_get_a_new_key(patch: pytest.MonkeyPatch) -> None:
    """A repeated request has a key of its own."""
    real = SimulatedService.submit
    seen: set[str | None] = set()

    async def submit(
        service: SimulatedService, workflow: str, params: dict[str, Any], request_id: str | None
    ) -> Submitted:
        again = request_id in seen and service.kind is Kind.KEY
        seen.add(request_id)
        return await real(service, workflow, params, "new" if again else request_id)

    patch.setattr(SimulatedService, "submit", submit)


MISTAKES: list[Callable[[pytest.MonkeyPatch], None]] = [
    nothing_is_claimed,
    claims_are_released_too_early,
    claims_of_others_are_ignored,
    recovery_sends_submissions_again,
    unanswered_submissions_are_sent_again,
    unclear_answers_count_as_rejected,
    task_ids_are_thrown_away,
    no_fallback_log_is_written,
    files_are_not_verified,
    placed_files_are_not_recorded,
    tasks_in_flight_are_not_resumed,
    further_attempts_have_a_commit_of_their_own,  # it takes 300 seeds: not one of each third
    every_failed_submission_is_sent_again,
    the_spend_cap_is_ignored,
    the_rate_limit_is_ignored,
    expired_keys_are_used,
    absent_tasks_are_submitted_again,
    repeats_get_a_new_key,
]

#: The kind of service that shows a mistake; any, if it is not here.
KINDS: dict[Callable[[pytest.MonkeyPatch], None], Kind] = {
    expired_keys_are_used: Kind.KEY,
    absent_tasks_are_submitted_again: Kind.OURS,
    repeats_get_a_new_key: Kind.KEY,
    further_attempts_have_a_commit_of_their_own: Kind.THEIRS,  # a rare one, seen soonest there
}


@pytest.mark.parametrize("mistake", some_of(MISTAKES, each=3), ids=lambda mistake: mistake.__name__)
def test_mistake_in_the_runner_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    kind = KINDS.get(mistake)
    assert any(
        simulate(seed, kind).violations for seed in itertools.islice(itertools.count(), SOON)
    )
