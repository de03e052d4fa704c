"""How many tasks of a workflow the service works on at once (see THEORY.md, "Queues").

`RankedTasks` keeps the unfinished tasks of one workflow in order of submission and knows the rank
of each. `ConcurrencyEstimator` learns from completed tasks how many at the head of that order are
being worked on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_FIRST_ESTIMATE, _FIRST_AFTER_RESET = 8, 15  # completions until the first estimate
_MAX_COMPLETIONS = 250  # remembered
_MAX_DEPARTURES = 5000  # remembered
_MAX_CANDIDATE = 2000  # largest concurrency that is tried
_CANDIDATE_FACTOR = 4  # largest candidate: this times the 80th percentile of completed ranks
_STOP_FACTOR = 3.0  # no smaller candidates once one costs this times the least cost
_EARLY_FACTOR = 1.3  # on the cost of tasks that ended before their estimated service start
_BETTER = 0.95  # a candidate replaces the estimate if it costs less than this part of its cost
# Part of the shortest duration; a smaller gain does not replace "every task is worked on". Tasks of
# equal duration cost almost nothing under any estimate, so the differences say nothing.
_NEGLIGIBLE_GAIN = 0.02


class RankedTasks(Generic[T]):
    """The unfinished tasks in order of submission, numbered from 0.

    A task's rank is the number of unfinished tasks before it. A Fenwick tree over the numbers
    finds it in O(log n).
    """

    def __init__(self) -> None:
        self._first = 0  # number of the task in slot 0
        self._slots: list[T | None] = []
        self._tree: list[int] = [0]  # Fenwick: 1-based counts of occupied slots
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, task: T) -> int:
        """Add a task at the end and return its number."""
        if len(self._slots) >= 1024 and self._count < len(self._slots) // 2:
            self._drop_finished_head()
        self._slots.append(task)
        position = len(self._slots)
        covered, start = 1, position & (position - 1)
        # A new node of a Fenwick tree covers the slots after `start` up to its own.
        child = position - 1
        while child > start:
            covered += self._tree[child]
            child &= child - 1
        self._tree.append(covered)
        self._count += 1
        return self._first + position - 1

    def remove(self, number: int) -> int:
        """Remove a task and return the rank it had."""
        position = number - self._first + 1
        rank = self._occupied_before(position - 1)
        self._slots[position - 1] = None
        self._count -= 1
        while position < len(self._tree):
            self._tree[position] -= 1
            position += position & -position
        return rank

    def number_at(self, rank: int) -> int:
        """Return the number of the task with that rank; one past the last number if none has it."""
        if rank >= self._count:
            return self._first + len(self._slots)
        position, remaining = 0, rank
        step = 1 << (len(self._tree).bit_length() - 1)
        while step:
            further = position + step
            if further < len(self._tree) and self._tree[further] <= remaining:
                position, remaining = further, remaining - self._tree[further]
            step >>= 1
        return self._first + position

    def between(self, start: int, end: int) -> Iterator[T]:
        """Yield the unfinished tasks with numbers from `start` to `end`, `end` excluded."""
        for task in self._slots[max(0, start - self._first) : max(0, end - self._first)]:
            if task is not None:
                yield task

    def _occupied_before(self, position: int) -> int:
        count = 0
        while position:
            count += self._tree[position]
            position &= position - 1
        return count

    def _drop_finished_head(self) -> None:
        """Remove the empty slots at the head, to keep memory proportional to unfinished tasks."""
        head = self.number_at(0) - self._first
        if head < len(self._slots) // 4:
            return
        self._first += head
        del self._slots[:head]
        self._tree = [0] * (len(self._slots) + 1)
        for position, task in enumerate(self._slots, start=1):
            self._tree[position] += task is not None
            parent = position + (position & -position)
            if parent < len(self._tree):
                self._tree[parent] += self._tree[position]


class Completion(NamedTuple):
    """A task submitted at `since`, running at `last_running_at`, found completed at `found_at`."""

    number: int
    since: float
    last_running_at: float
    found_at: float


class ConcurrencyEstimator:
    """Learns how many tasks at the head of the order of submission are being worked on.

    The estimate is the candidate under which the polls of the known completions would have cost
    least. If tasks do not queue at the service, that is None: every task is being worked on.
    """

    def __init__(self) -> None:
        self.value: int | None = None  #: the estimate; None: every task is being worked on
        self.completions: deque[Completion] = deque(maxlen=_MAX_COMPLETIONS)
        self._departures: deque[float] = deque(maxlen=_MAX_DEPARTURES)  # when tasks left
        self._departures_dropped = 0  # how many were forgotten before these
        self._completed = 0
        self._ranks: deque[int] = deque(maxlen=_MAX_COMPLETIONS)
        self._estimate_at = _FIRST_ESTIMATE  # completions until the next estimate
        self._shortest = math.inf  # duration seen, in seconds: from submission to `found_at`

    def record_departure(self, now: float) -> None:
        """Record that a task was removed, completed or not."""
        if len(self._departures) == _MAX_DEPARTURES:
            self._departures_dropped += 1
        self._departures.append(now)

    def record_completion(self, completion: Completion, rank: int, unfinished: int) -> bool:
        """Record a completed task and its rank; return whether the estimate has changed.

        `unfinished` is the number of tasks that are left.
        """
        self.completions.append(completion)
        self._shortest = min(self._shortest, completion.found_at - completion.since)
        self._completed += 1
        self._ranks.append(rank)
        if self._completed < self._estimate_at:
            return False
        self._estimate_at = self._completed + max(
            1, min(self._completed // 4, _MAX_COMPLETIONS * 4)
        )
        return self._estimate(unfinished)

    def reset(self) -> None:
        """Forget everything learned, after the service has changed."""
        self.completions.clear()
        self._ranks.clear()
        self.value, self._completed, self._shortest = None, 0, math.inf
        self._estimate_at = _FIRST_AFTER_RESET

    def increase(self) -> None:
        """Raise the estimate by half."""
        if self.value is not None:
            self.value += 1 + self.value // 2

    def restore(self, value: int | None) -> None:
        """Start with the estimate of an earlier run; keep it longer than a new one."""
        self.value, self._estimate_at = value, 3 * _FIRST_ESTIMATE

    def service_start(self, number: int, since: float) -> float | None:
        """Return when the service started on a task, by the estimate; None if it has not."""
        if self.value is None or number < self.value:
            return since
        index = number - self.value - self._departures_dropped
        if index >= len(self._departures):
            return None
        return max(since, self._departures[max(0, index)])

    def _estimate(self, unfinished: int) -> bool:
        candidates: list[int | None] = []
        costs: list[float] = []
        usual_rank = sorted(self._ranks)[len(self._ranks) * 4 // 5]
        departures = list(self._departures)
        candidate = largest = min(_CANDIDATE_FACTOR * (usual_rank + 1), _MAX_CANDIDATE)
        while candidate > 0 and (not costs or costs[-1] < min(costs) * _STOP_FACTOR):
            candidates.append(candidate)
            costs.append(self._cost(candidate, departures))
            candidate = candidate * 4 // 5
        if largest >= unfinished:
            candidates.append(None)
            costs.append(self._cost(None, departures))
        acceptable = min(costs) / _BETTER
        if self.value is None:
            acceptable += _NEGLIGIBLE_GAIN * self._shortest
        if self._cost(self.value, departures) <= acceptable:
            return False
        # The largest acceptable one: too large costs less than too small.
        self.value = next(
            c for c, cost in zip(candidates, costs, strict=True) if cost <= acceptable
        )
        return True

    def _cost(self, concurrency: int | None, departures: list[float]) -> float:
        """Return polls × delay of the known completions if `concurrency` tasks are worked on.

        `departures` is a list copy of `_departures`: indexing a deque is slow.
        """
        started, early = [], []
        known, before = len(departures), (concurrency or 0) + self._departures_dropped
        for number, since, last_running_at, found_at in self.completions:
            end, start = (last_running_at + found_at) / 2, since
            if concurrency is not None and number >= concurrency:
                index = number - before
                start = departures[index if index > 0 else 0] if index < known else math.inf
                start = since if start < since else start
            if start <= end:
                started.append(end - start)
            else:
                early.append(end - since)
        share = len(started) / len(self.completions)
        unexpected = _EARLY_FACTOR * math.sqrt(1 - share) * _root_area(early) if early else 0.0
        return (share * _root_area(started, survival=True) + unexpected) ** 2 / 2


def _root_area(durations: list[float], *, survival: bool = False) -> float:
    """Return ∫√(f·S) for the density f of the durations; S is 1 unless `survival`.

    With `survival`, S is their survival function. The density is estimated from at most about
    eighty gaps between durations, each √n durations wide.
    """
    durations = [0.0, *sorted(durations)]
    count = len(durations)
    spacing = max(1, math.isqrt(count - 1))
    if count <= spacing:
        return 0.0
    step = 1 + count // 80
    gaps = [b - a for a, b in zip(durations[::step], durations[spacing::step], strict=False)]
    if survival:
        first = count - spacing / 2  # still running in the middle of the first gap
        gaps = [gap * (first - i * step) / count for i, gap in enumerate(gaps)]
    scale = count / spacing
    return sum(map(math.sqrt, gaps)) * math.sqrt(scale) / len(gaps)
