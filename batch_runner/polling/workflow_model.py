"""What is known about one workflow at one service, and when to poll its tasks (see THEORY.md).

Two durations of a task are modelled, each with its own hazard:

* waiting time: from its submission until the service starts on it, as far as the concurrency
  estimate tells. Few tasks end here (those that overtake others or fail at once), so polls are far
  apart;
* service time: from then on. If tasks do not queue, it begins with the submission.

While the progress that the service reports predicts better, it is used instead of the service time.
"""

from __future__ import annotations

import json
import math
from collections import deque

from batch_runner.models import InFlight
from batch_runner.polling.concurrency import Completion, ConcurrencyEstimator, RankedTasks
from batch_runner.polling.drift import DriftDetector
from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.progress_model import ProgressModel, ProgressReading, read_progress
from batch_runner.polling.sampling import GoldenRatioSampler
from batch_runner.polling.two_scale_hazard import TwoScaleHazard
from batch_runner.settings import Polling

_VERSION = 3  # of the stored state; others are ignored
_WAITING_FACTOR = 60.0  # times `longest`: longest interval between polls of a waiting task
_MIN_COMPLETIONS = 10  # before the learned hazard replaces `polling.first`
_USUAL_SHARE = 0.9  # of the tasks, whose service time counts as usual
_MAX_DURATIONS = 200  # remembered
# Lowest cost of a poll, as a multiple of shortest² ÷ median. With a lower one, polls would be due
# sooner than `shortest` at the ages where most tasks complete, and only those at other ages added.
_LOWEST_COST = 1.5
_COST_DIVISOR = 60.0  # a poll costs at most the median duration divided by this
_FIRST_POLLS_PER_PROBE = 4  # completions found by a first poll before a waiting task is probed
_UNEXPECTED_LIMIT = 2  # see `_unexpected`: raises the concurrency estimate
_WEIGHT_AFTER_CHANGE = 0.05  # of what was learned before the service changed


class PolledTask:
    """One task in the poll queue. Slots keep it small: there may be 100,000."""

    __slots__ = (
        *("entry", "last_running_at", "model", "number"),
        *("reading", "sampled", "seen_before", "service_start", "task"),
    )

    def __init__(self, task: InFlight, model: WorkflowModel, *, seen_before: bool) -> None:
        self.task = task
        self.model = model  # of its workflow
        self.seen_before = seen_before  # submitted by an earlier run: its duration is not known
        self.sampled = True  # the hazards are learned from it
        self.number = -1  # in the order of submission
        self.service_start: float | None = None  # estimated; None: it waits
        # None: submitted by an earlier run and not polled yet, so the next poll gives no duration.
        self.last_running_at: float | None = None if seen_before else task.since
        self.reading: ProgressReading | None = None
        self.entry: HeapEntry | None = None  # its scheduled poll


#: When a poll is due, a sequence number, the interval that ends there, and the task.
HeapEntry = tuple[float, int, float, PolledTask]


class WorkflowModel:
    """What was learned about one workflow. Durations are in seconds, other times in loop time."""

    def __init__(self, polling: Polling, learned: str | None = None) -> None:
        """`learned` is what `learned()` returned in an earlier run."""
        self._polling = polling
        self._service_time, self._waiting_time = _new_hazards()
        self._progress = ProgressModel()
        self._concurrency = ConcurrencyEstimator()
        self._drift = DriftDetector()
        self._sampler = GoldenRatioSampler()
        self._durations: deque[float] = deque(maxlen=_MAX_DURATIONS)  # submission to end, seconds
        self._tasks: RankedTasks[PolledTask] = RankedTasks()
        self._waiting_from = 0  # number of the first task that waits
        self._completed_at_first_poll = 0
        self._unexpected = 0  # waiting tasks found completed, less those found running
        if learned is not None:
            self._restore(learned)

    def add(self, polled: PolledTask) -> None:
        """Add a newly submitted task."""
        polled.number = self._tasks.append(polled)
        polled.sampled = not polled.seen_before and self._sampler.sample(polled.task.since)
        concurrency = self._concurrency.value
        if concurrency is None or len(self._tasks) <= concurrency:
            polled.service_start = polled.task.since
            self._waiting_from = polled.number + 1

    def promote_started(self, now: float) -> list[PolledTask]:
        """Return the tasks that the service has started on since the last call."""
        concurrency = self._concurrency.value
        count = len(self._tasks) if concurrency is None else concurrency
        end = self._tasks.number_at(count)
        tasks = self._tasks.between(self._waiting_from, end)
        started = [polled for polled in tasks if polled.service_start is None]
        for polled in started:
            start = self._concurrency.service_start(polled.number, polled.task.since)
            polled.service_start = now if start is None else min(now, start)
        self._waiting_from = end
        return started

    def demote(self, polled: PolledTask) -> bool:
        """Return whether the task waits again because the concurrency estimate has fallen."""
        if polled.service_start is None or polled.number < self._waiting_from:
            return False
        if polled.last_running_at is None:
            return False
        polled.service_start = polled.reading = None
        return True

    def next_poll(self, polled: PolledTask, now: float, cost: float) -> tuple[float, float]:
        """Return when to poll the task, and the interval that ends there.

        `cost` is the delay, in seconds, accepted to save one poll; it is reduced for quick tasks.
        """
        last, start, since = polled.last_running_at, polled.service_start, polled.task.since
        polling = self._polling
        if last is None:
            return now, polling.shortest
        cost = self._scaled_cost(cost, last - (since if start is None else start))
        longest = polling.longest
        if start is None:
            origin = last
            longest *= _WAITING_FACTOR
            due = since + self._waiting_time.next_poll(last - since, cost)
        elif (remaining := self._progress.next_poll(polled.reading, cost)) is not None:
            origin = last
            due = last + remaining
        else:
            origin = max(last, start)
            shortest = polling.shortest
            due = start + self._service_time.next_poll(origin - start, cost, shortest=shortest)
        due = max(min(due, origin + longest), last + polling.shortest)
        if self._service_time.completions < _MIN_COMPLETIONS:
            due = max(due, since + polling.first)
        return due, due - origin

    def _scaled_cost(self, cost: float, age: float) -> float:
        """Return the cost of a poll, reduced if the tasks are quick."""
        if self._service_time.completions < _MIN_COMPLETIONS:
            return cost
        polling = self._polling
        quarter, half, most = (self._service_time.quantile(share) for share in (0.25, 0.5, 0.75))
        cost *= min(1.0, half / _COST_DIVISOR / polling.request_cost)
        if age < most < quarter + polling.shortest:  # one poll can cover most completions
            return cost
        return max(cost, min(polling.request_cost, _LOWEST_COST * polling.shortest**2 / half))

    def report_running(self, polled: PolledTask, now: float, progress: float | None) -> bool:
        """Learn that a poll found the task running.

        Returns whether the concurrency estimate was reset, so that every task counts as started.
        """
        reset = polled.last_running_at is not None and self._learn(polled, now, completed=False)
        polled.last_running_at = now
        if polled.service_start is None:
            self._unexpected = max(0, self._unexpected - 1)
        else:
            if self._progress.shows_waiting(progress):
                polled.service_start = now
            age, usual = now - polled.service_start, self._usual_service_time()
            polled.reading = read_progress(polled.reading, progress, age=age, now=now, usual=usual)
        return reset

    def _usual_service_time(self) -> float:
        """Return the service time in seconds that few tasks exceed; infinite if not learned."""
        if self._service_time.completions < _MIN_COMPLETIONS:
            return math.inf
        return self._service_time.quantile(_USUAL_SHARE)

    def report_completed(self, polled: PolledTask, now: float) -> None:
        """Learn that a poll found the task completed, and remove it."""
        rank = self._tasks.remove(polled.number)
        self._concurrency.record_departure(now)
        last, since = polled.last_running_at, polled.task.since
        if last is None or polled.seen_before:
            return
        if polled.service_start is None:
            self._record_unexpected()
        elif last <= polled.service_start:
            self._completed_at_first_poll += 1
        self._durations.append((last + now) / 2 - since)
        completion = Completion(polled.number, since, last, now)
        if self._concurrency.record_completion(completion, rank, len(self._tasks)):
            self._relearn()
        else:
            self._learn(polled, now, completed=True)

    def probe_candidate(self) -> PolledTask | None:
        """Return a waiting task to poll now, to check the concurrency estimate; None: no need.

        If first polls keep finding completed tasks, the first waiting task may be completed too.
        """
        concurrency = self._concurrency.value
        if concurrency is None or self._completed_at_first_poll < _FIRST_POLLS_PER_PROBE:
            return None
        self._completed_at_first_poll = 0
        number = self._tasks.number_at(concurrency)
        first = next(self._tasks.between(number, number + 1), None)
        return first if first is not None and first.service_start is None else None

    def _record_unexpected(self) -> None:
        """Raise the concurrency estimate when waiting tasks are found completed."""
        self._unexpected += 1
        if self._unexpected >= _UNEXPECTED_LIMIT:
            self._unexpected = 0
            self._concurrency.increase()
        # A waiting task that has completed is rarely the only one: probe the next one at once.
        self._completed_at_first_poll = _FIRST_POLLS_PER_PROBE

    def forget(self, polled: PolledTask, now: float) -> None:
        """Remove the task and learn nothing."""
        self._tasks.remove(polled.number)
        self._concurrency.record_departure(now)

    def typical(self, share: float) -> float | None:
        """Return the seconds from submission within which `share` of tasks end; None: unknown."""
        if not self._durations:
            return None
        durations = sorted(self._durations)
        return durations[min(len(durations) - 1, int(len(durations) * share))]

    def mean(self) -> float | None:
        """Return the mean seconds from submission to end of the latest tasks; None: unknown."""
        return sum(self._durations) / len(self._durations) if self._durations else None

    def learned(self) -> str:
        """Return what was learned, as JSON, for the next run."""
        state = {
            "version": _VERSION,
            "service_time": self._service_time.state(),
            "waiting_time": self._waiting_time.state(),
            "progress": self._progress.state(),
            "concurrency": self._concurrency.value,
            "durations": [round(seconds, 2) for seconds in self._durations],
        }
        return json.dumps(state, separators=(",", ":"))

    def _learn(self, polled: PolledTask, now: float, *, completed: bool) -> bool:
        """Update the hazards with a poll; return whether the concurrency estimate was reset."""
        last, start, since = polled.last_running_at, polled.service_start, polled.task.since
        if last is None or not polled.sampled:
            return False
        if start is None:
            _observe(self._waiting_time, last - since, now - since, completed=completed)
            return False
        if last < start:
            self._waiting_time.observe_running(last - since, start - since)
        known = max(0.0, last - start)
        hazard = _observe(self._service_time, known, now - start, completed=completed)
        if polled.reading is not None:
            self._progress.observe(polled.reading, now - last, hazard, completed=completed)
        return self._check_drift(hazard, completed=completed)

    def _check_drift(self, hazard: float, *, completed: bool) -> bool:
        """Forget most if the service has changed; return whether the concurrency was reset."""
        too_few = self._drift.update(hazard, completed=completed)
        if too_few is None:
            return False
        if too_few:
            # Tasks taken for started do not complete, so perhaps others do: count every task as
            # started, and relearn the last completions with durations since their submission.
            self._concurrency.value = None
            self._relearn()
            self._concurrency.reset()
        self._service_time.fade(_WEIGHT_AFTER_CHANGE)
        self._waiting_time.fade(_WEIGHT_AFTER_CHANGE)
        self._progress.reset_comparison()
        return too_few

    def _relearn(self) -> None:
        """Learn the hazards again from the last completions, with the new concurrency estimate."""
        self._service_time, self._waiting_time = _new_hazards()
        for number, since, last, found in self._concurrency.completions:
            start = self._concurrency.service_start(number, since)
            if start is None or found <= start:
                self._waiting_time.observe_running(0.0, last - since)
                self._waiting_time.observe_completed(last - since, found - since)
                continue
            self._waiting_time.observe_running(0.0, start - since)
            known = max(0.0, last - start)
            self._service_time.observe_running(0.0, known)
            self._service_time.observe_completed(known, found - start)
        for polled in self._tasks.between(0, self._waiting_from):
            polled.service_start = self._concurrency.service_start(polled.number, polled.task.since)

    def _restore(self, learned: str) -> None:
        """Take over what an earlier run learned; ignore invalid text and other versions."""
        service_time, waiting_time = _new_hazards()
        progress = ProgressModel()
        try:
            state = json.loads(learned)
            if state["version"] != _VERSION:
                return
            service_time.restore(state["service_time"])
            waiting_time.restore(state["waiting_time"])
            progress.restore(state["progress"])
            value = state["concurrency"]
            concurrency = None if value is None else max(1, int(value))
            durations = [max(0.0, min(1e9, float(each))) for each in state["durations"]]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return
        self._service_time, self._waiting_time = service_time, waiting_time
        self._progress = progress
        self._concurrency.restore(concurrency)
        self._durations.extend(durations)


def _new_hazards() -> tuple[TwoScaleHazard, HazardModel]:
    """Return untrained hazards of the service time and of the waiting time."""
    return TwoScaleHazard(), HazardModel(prior_weight=5.0, pooled=True)


def _observe(
    hazard: HazardModel | TwoScaleHazard, start: float, end: float, *, completed: bool
) -> float:
    """Update a hazard with a poll; return the accumulated hazard that it predicted."""
    observe = hazard.observe_completed if completed else hazard.observe_running
    return observe(start, end)
