"""What is known about one workflow at one service, and when that makes a look worth its price.

A task has one of two clocks, each with a hazard of its own (see `durations`):

* its **turn**: the time since it came within the width of the line (see `frontier`). Where nothing
  queues, that is the time since its submission (see `focus`);
* its **wait**: the time since submission, until its turn has come. Little ends there, so the looks
  are far apart: a safety round that finds tasks which overtake or fail at once.

Beside the turn's clock there is the service's own progress, while it proves itself (`sightings`).
And there is a watch over all of it: when ends come much more often or more seldom than foretold,
the service has changed, and most of what was learned is forgotten.
"""

from __future__ import annotations

import json
import math
from collections import deque

from batch_runner.models import InFlight
from batch_runner.polling.concurrency import Completion, ConcurrencyEstimator, RankedTasks
from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.progress_model import ProgressModel, ProgressReading, sight
from batch_runner.polling.two_scale_hazard import FocusedDurations
from batch_runner.settings import Polling

_VERSION = 2
_WAITING = 60.0  # times `longest`: between two looks at a task whose turn has not come, at most
_LEARNED = 10  # finishes from which on what was learned says when the first look is due
_KEPT = 200  # durations
_STEEP = 1.5  # a price whose looks would come sooner than `shortest` where most end buys nothing
_DEAREST = 60.0  # a look costs no more than this part of the time that half the tasks take
_AT_ONCE = 4  # finishes found at the first look for one look at who waits
_DOUBTED = 2  # of those, ended, before the width is doubted
_TEACHERS, _TEACHERS_AT_ONCE = 100.0, 500.0  # tasks a second that are learned from, and in a burst
_GOLDEN = (math.sqrt(5) - 1) / 2  # turned round by this, a wheel stops evenly everywhere
_CHANGED, _LEAN = 25.0, 0.4  # ends too many or too few that say the service has changed
_FADED = 0.05  # what is left of what was learned then


class PolledTask:
    """One task on the schedule. Small: there are many."""

    __slots__ = (
        *("forecast", "inherited", "looked", "number"),
        *("sighting", "task", "teaches", "ticket", "turn"),
    )

    def __init__(self, task: InFlight, forecast: WorkflowModel, *, seen_before: bool) -> None:
        self.task = task
        self.forecast = forecast  # of its workflow
        self.inherited = seen_before  # how long it had been going then is not known
        self.number = -1  # in the line
        self.teaches = True  # how long it takes is learned from; of very many, some are enough
        self.turn: float | None = None  # when it came within the width; None while it waits
        # When it was last known to be going; None when an earlier run may have looked: what the
        # next look finds then says nothing about how long it took.
        self.looked: float | None = None if seen_before else task.since
        self.sighting: ProgressReading | None = None
        self.ticket: Ticket | None = None  # its place among the due looks


Ticket = tuple[float, int, float, PolledTask]  #: when a look is due, a number, its spacing, whose


class DriftDetector:
    """Whether ends come as foretold: two sums (CUSUM), of ends too many and of ends too few.

    Each leans back by a part of what is foretold, so that chance alone seldom carries it far.
    """

    def __init__(self) -> None:
        self._many = self._few = 0.0

    def note(self, foretold: float, *, ended: bool) -> bool | None:
        """Note a look that was to find the end with probability `foretold`.

        Returns None as a rule; when the sums say the service has changed, whether there were too
        few ends.
        """
        self._many = max(0.0, self._many + ended - foretold * (1 + _LEAN))
        self._few = max(0.0, self._few + foretold * (1 - _LEAN) - ended)
        if max(self._many, self._few) < _CHANGED:
            return None
        few = self._few > self._many
        self._many = self._few = 0.0
        return few


class WorkflowModel:
    """What is known about one workflow. Every moment is loop time."""

    def __init__(self, polling: Polling, learned: str | None = None) -> None:
        self._polling = polling
        self._turn, self._wait = _fresh_clocks()
        self._sightings = ProgressModel()
        self._width = ConcurrencyEstimator()
        self._drift = DriftDetector()
        self._seconds: deque[float] = deque(maxlen=_KEPT)  # from submission to end
        self._line: RankedTasks[PolledTask] = RankedTasks()
        self._edge = 0  # the first number beyond the width
        self._at_once = 0  # finishes found by the first look at a task
        self._doubt = 0  # of the width: waiting tasks that had ended, less those that had not
        self._teachers, self._taught = _TEACHERS_AT_ONCE, -math.inf  # how many may yet be, and when
        self._wheel = 0.0
        if learned is not None:
            self._restore(learned)

    def add(self, watched: PolledTask) -> None:
        """Put a new task at the end of the line."""
        watched.number = self._line.append(watched)
        watched.teaches = not watched.inherited and self._wants_teacher(watched.task.since)
        width = self._width.value
        if width is None or len(self._line) <= width:
            watched.turn = watched.task.since
            self._edge = watched.number + 1

    def _wants_teacher(self, now: float) -> bool:
        """Return whether one more task is to be learned from: chosen before anything is known."""
        earned = _TEACHERS * max(0.0, now - self._taught)
        self._teachers, self._taught = min(_TEACHERS_AT_ONCE, self._teachers + earned), now
        # The fewer are left, the rarer; but not every tenth: it may be one kind of ten in turn.
        self._wheel = (self._wheel + _GOLDEN) % 1
        if self._wheel * _TEACHERS_AT_ONCE >= 2 * self._teachers:
            return False
        self._teachers -= 1
        return True

    def come_of_turn(self, now: float) -> list[PolledTask]:
        """Return the tasks that have come within the width since the last call."""
        width = self._width.value
        edge = self._line.number_at(len(self._line) if width is None else width)
        came = [w for w in self._line.between(self._edge, edge) if w.turn is None]
        for watched in came:
            turn = self._width.turn(watched.number, watched.task.since)
            watched.turn = now if turn is None else min(now, turn)
        self._edge = edge
        return came

    def send_back(self, watched: PolledTask) -> bool:
        """Return whether the width has shrunk so that the task waits again."""
        if watched.turn is None or watched.number < self._edge or watched.looked is None:
            return False
        watched.turn = watched.sighting = None
        return True

    def next_look(self, watched: PolledTask, now: float, price: float) -> tuple[float, float]:
        """Return when the next look is worth its price, and the spacing that leads there.

        `price` is in seconds of delay; where tasks are quick it is less, so that they get as many
        looks as slow ones do.
        """
        looked, turn, since = watched.looked, watched.turn, watched.task.since
        polling = self._polling
        if looked is None:
            return now, polling.shortest
        price = self._fair(price, looked - (since if turn is None else turn))
        longest = polling.longest
        if turn is None:
            origin = looked
            longest *= _WAITING
            due = since + self._wait.next_look(looked - since, price)
        elif (left := self._sightings.next_look(watched.sighting, price)) is not None:
            origin = looked
            due = looked + left
        else:
            origin = max(looked, turn)
            due = turn + self._turn.next_look(origin - turn, price, shortest=polling.shortest)
        due = max(min(due, origin + longest), looked + polling.shortest)
        if self._turn.seen < _LEARNED:
            due = max(due, since + polling.first)
        return due, due - origin

    def _fair(self, price: float, age: float) -> float:
        """Return a look's price beside how long tasks take: neither too dear nor for nothing."""
        if self._turn.seen < _LEARNED:
            return price
        polling = self._polling
        quarter, half, most = (self._turn.quantile(share) for share in (0.25, 0.5, 0.75))
        price *= min(1.0, half / _DEAREST / polling.request_cost)
        if age < most < quarter + polling.shortest:  # no look will follow another where most end
            return price
        return max(price, min(polling.request_cost, _STEEP * polling.shortest**2 / half))

    def going(self, watched: PolledTask, now: float, progress: float | None) -> bool:
        """Learn that a look found the task going; return whether everybody's turn has come."""
        anew = watched.looked is not None and self._learn(watched, now, ended=False)
        watched.looked = now
        if watched.turn is None:
            self._doubt = max(0, self._doubt - 1)
        else:
            age = now - watched.turn
            watched.sighting = sight(watched.sighting, progress, age=age, now=now)
        return anew

    def ended(self, watched: PolledTask, now: float) -> None:
        """Learn that a look found the task ended, and take it out of the line."""
        rank = self._line.remove(watched.number)
        self._width.left(now)
        if (looked := watched.looked) is None or watched.inherited:
            return
        since = watched.task.since
        if watched.turn is None:
            self._doubt_width()
        elif looked <= watched.turn:
            self._at_once += 1
        self._seconds.append((looked + now) / 2 - since)
        end = Completion(watched.number, since, looked, now)
        if self._width.note(end, rank, len(self._line)):
            self._relearn()
        else:
            self._learn(watched, now, ended=True)

    def doubtful(self) -> PolledTask | None:
        """Return the first of those who wait, now and then, when first looks find all ended."""
        width = self._width.value
        if width is None or self._at_once < _AT_ONCE:
            return None
        self._at_once = 0
        beyond = self._line.number_at(width)
        waiting = next(self._line.between(beyond, beyond + 1), None)
        return waiting if waiting is not None and waiting.turn is None else None

    def _doubt_width(self) -> None:
        """Widen what is taken to be in work when those who are not are found ended."""
        self._doubt += 1
        if self._doubt >= _DOUBTED:
            self._doubt = 0
            self._width.widen()
        self._at_once = _AT_ONCE  # one that has ended is seldom the only one: the next is asked now

    def forget(self, watched: PolledTask, now: float) -> None:
        """Take the task out of the line; nothing is learned."""
        self._line.remove(watched.number)
        self._width.left(now)

    def typical(self, share: float) -> float | None:
        """Return the seconds from submission within which `share` of tasks finish, if known."""
        if not self._seconds:
            return None
        return sorted(self._seconds)[min(len(self._seconds) - 1, int(len(self._seconds) * share))]

    def mean(self) -> float | None:
        """Return the mean seconds from submission to the end of the latest tasks, if known."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else None

    def learned(self) -> str:
        """Return what is known, as JSON, for the next run."""
        state = {
            "version": _VERSION,
            "turn": self._turn.state(),
            "wait": self._wait.state(),
            "progress": self._sightings.state(),
            "width": self._width.value,
            "seconds": [round(seconds, 2) for seconds in self._seconds],
        }
        return json.dumps(state, separators=(",", ":"))

    def _learn(self, watched: PolledTask, now: float, *, ended: bool) -> bool:
        """Feed the clocks with what a look found; return whether everybody's turn has come."""
        looked, turn, since = watched.looked, watched.turn, watched.task.since
        if looked is None or not watched.teaches:
            return False
        if turn is None:
            _feed(self._wait, looked - since, now - since, ended=ended)
            return False
        if looked < turn:
            self._wait.survived(looked - since, turn - since)
        hazard = _feed(self._turn, max(0.0, looked - turn), now - turn, ended=ended)
        if watched.sighting is not None:
            self._sightings.hold(watched.sighting, now - looked, hazard, ended=ended)
        return self._note_drift(-math.expm1(-hazard), ended=ended)

    def _note_drift(self, foretold: float, *, ended: bool) -> bool:
        """Forget most when the service has changed; return whether the width is forgotten too."""
        few = self._drift.note(foretold, ended=ended)
        if few is None:
            return False
        if few:
            # Those whose turn it is do not end: others may, so everybody is asked again, and what
            # the last ones took from their submission says more than what they took in their turn.
            self._width.value = None
            self._relearn()
            self._width.forget()
        self._turn.fade(_FADED)
        self._wait.fade(_FADED)
        self._sightings.doubt()
        return few

    def _relearn(self) -> None:
        """Learn the clocks anew from the last finishes, as if the width had always been so."""
        self._turn, self._wait = _fresh_clocks()
        for number, since, looked, found in self._width.ends:
            turn = self._width.turn(number, since)
            if turn is None or found <= turn:
                self._wait.survived(0.0, looked - since)
                self._wait.ended(looked - since, found - since)
                continue
            self._wait.survived(0.0, turn - since)
            known = max(0.0, looked - turn)
            self._turn.survived(0.0, known)
            self._turn.ended(known, found - turn)
        for watched in self._line.between(0, self._edge):
            watched.turn = self._width.turn(watched.number, watched.task.since)

    def _restore(self, learned: str) -> None:
        """Take over what an earlier run learned; garbage and other versions count as nothing."""
        turn, wait = _fresh_clocks()
        sightings = ProgressModel()
        try:
            state = json.loads(learned)
            if state["version"] != _VERSION:
                return
            turn.restore(state["turn"])
            wait.restore(state["wait"])
            sightings.restore(state["progress"])
            width = None if state["width"] is None else max(1, int(state["width"]))
            seconds = [max(0.0, min(1e9, float(each))) for each in state["seconds"]]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return
        self._turn, self._wait, self._sightings = turn, wait, sightings
        self._width.inherit(width)
        self._seconds.extend(seconds)


def _fresh_clocks() -> tuple[FocusedDurations, HazardModel]:
    """Return the clocks of the turn and of the wait, knowing nothing."""
    return FocusedDurations(), HazardModel(trust=5.0, pooled=True)


def _feed(clock: HazardModel | FocusedDurations, start: float, end: float, *, ended: bool) -> float:
    """Teach a clock what a look found; return the hazard it held for what lies between."""
    return clock.ended(start, end) if ended else clock.survived(start, end)
